package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// pool is the file system: volumes/ and snapshots/ with a subvolume or an image, and a record (<id>.json), each.
type pool struct{ dir string }

// record is what is known of a volume or a snapshot beside its bytes.
type record struct {
	ID      string    `json:"id"`
	Source  string    `json:"source,omitempty"`
	Size    int64     `json:"size"`
	Created time.Time `json:"created"`
	Ready   time.Time `json:"ready"`
	Never   bool      `json:"never,omitempty"`
	Image   bool      `json:"image,omitempty"`
}

// Names come from the sidecars ("pvc-<uid>", "snapshot-<uid>") and become file names.
var validID = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._-]{0,127}$`)

func (p pool) path(kind, id string) string { return filepath.Join(p.dir, kind, id) }

func (p pool) load(kind, id string) (*record, error) {
	if !validID.MatchString(id) {
		return nil, os.ErrNotExist
	}
	text, err := os.ReadFile(p.path(kind, id) + ".json")
	if err != nil {
		return nil, err
	}
	found := &record{}
	return found, json.Unmarshal(text, found)
}

func (p pool) store(kind string, entry *record) error {
	text, err := json.Marshal(entry)
	if err != nil {
		return err
	}
	path := p.path(kind, entry.ID) + ".json"
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// create makes a subvolume, empty or of another one, unless an earlier try made it.
func (p pool) create(kind, id, from string, readOnly bool) error {
	path := p.path(kind, id)
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	if from == "" {
		return btrfs("subvolume", "create", path)
	}
	if readOnly {
		return btrfs("subvolume", "snapshot", "-r", from, path)
	}
	return btrfs("subvolume", "snapshot", from, path)
}

// remove is done when nothing is left, also of a half-made one.
func (p pool) remove(kind, id string) error {
	if !validID.MatchString(id) {
		return nil
	}
	path := p.path(kind, id)
	if stat, err := os.Stat(path); err == nil && stat.IsDir() {
		if err := btrfs("subvolume", "delete", path); err != nil {
			return err
		}
	}
	for _, file := range []string{path, path + ".new", path + ".json"} {
		if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

func (p pool) list(kind string) ([]*record, error) {
	files, err := filepath.Glob(p.path(kind, "*.json"))
	if err != nil {
		return nil, err
	}
	var all []*record
	for _, file := range files {
		entry, err := p.load(kind, strings.TrimSuffix(filepath.Base(file), ".json"))
		if err == nil {
			all = append(all, entry)
		}
	}
	return all, nil
}

func btrfs(args ...string) error { return command("btrfs", args...) }

// fault is what a class asks for, for tests: `fail: TEXT`, `never: "true"`, `delay: 30s`.
type fault struct {
	fail  string
	never bool
	delay time.Duration
}

func readFault(parameters map[string]string) (fault, error) {
	wanted := fault{fail: parameters["fail"], never: parameters["never"] == "true"}
	if text := parameters["delay"]; text != "" {
		delay, err := time.ParseDuration(text)
		if err != nil {
			return wanted, invalid("the class's delay: %v", err)
		}
		wanted.delay = delay
	}
	if wanted.fail != "" {
		return wanted, status.Error(codes.Internal, wanted.fail)
	}
	return wanted, nil
}
