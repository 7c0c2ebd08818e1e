package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sys/unix"
)

// An image is a volume that is one file, and a device for the node: with ext4 on it, or raw. A snapshot
// shares its bytes (a reflink) and is what a crash at that moment would leave: of a mounted ext4, with a
// journal that is still to be replayed.

const ext4 = "ext4"

// wantsImage tells whether a capability is for an image, and which file system is to be on it.
func wantsImage(capability *csi.VolumeCapability) (bool, string) {
	if capability.GetBlock() != nil {
		return true, ""
	}
	return capability.GetMount().GetFsType() == ext4, ext4
}

// createImage makes an image, empty or of another one, unless an earlier try made it.
func (p pool) createImage(kind, id, from string, size int64, format string) error {
	path := p.path(kind, id)
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	partial := path + ".new"
	file, err := os.OpenFile(partial, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	if from != "" {
		err = clone(file, from)
	} else if err = file.Truncate(size); err == nil && format == ext4 {
		err = command("mkfs.ext4", "-q", "-F", partial)
	}
	if err != nil {
		return err
	}
	if stat, err := file.Stat(); err != nil || stat.Size() < size {
		if err := errors.Join(err, file.Truncate(size)); err != nil {
			return err
		}
	}
	return os.Rename(partial, path)
}

func clone(file *os.File, from string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	if err := unix.IoctlFileClone(int(file.Fd()), int(source.Fd())); err != nil {
		return fmt.Errorf("cannot clone %s: %w", from, err)
	}
	return nil
}

// mountImage mounts the file system of an image. The loop device goes with the mount.
func mountImage(image, target string, flags []string, readOnly bool) error {
	options := append([]string{"loop"}, flags...)
	if readOnly {
		options = append(options, "ro")
	}
	return command("mount", "-t", ext4, "-o", strings.Join(options, ","), image, target)
}

// attachImage makes an image a device, which `device` in the staging folder names.
func attachImage(image, staging string, readOnly bool) error {
	link := filepath.Join(staging, "device")
	if _, err := os.Lstat(link); err == nil {
		return nil
	}
	args := []string{"--find", "--show", image}
	if readOnly {
		args = append([]string{"--read-only"}, args...)
	}
	output, err := exec.Command("losetup", args...).Output()
	if err != nil {
		return fmt.Errorf("losetup of %s: %w", image, err)
	}
	return os.Symlink(strings.TrimSpace(string(output)), link)
}

// detachImage takes the device away, if there is one.
func detachImage(staging string) error {
	link := filepath.Join(staging, "device")
	device, err := os.Readlink(link)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(command("losetup", "--detach", device), os.Remove(link))
}

func command(name string, args ...string) error {
	if output, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(output)))
	}
	return nil
}
