package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sort"
	"strconv"
	"sync"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// controller makes and removes volumes and snapshots. There is one for the whole cluster.
type controller struct {
	csi.UnimplementedControllerServer
	pool  pool
	mutex sync.Mutex
	asked map[string]time.Time // When a volume that comes late was first asked for.
}

func newController(dir string) (*controller, error) {
	if dir == "" {
		return nil, errors.New("--pool is needed")
	}
	for _, kind := range []string{"volumes", "snapshots"} {
		if err := os.MkdirAll(fmt.Sprintf("%s/%s", dir, kind), 0o700); err != nil {
			return nil, err
		}
	}
	return &controller{pool: pool{dir: dir}, asked: map[string]time.Time{}}, nil
}

func (c *controller) ControllerGetCapabilities(context.Context, *csi.ControllerGetCapabilitiesRequest) (*csi.ControllerGetCapabilitiesResponse, error) {
	var all []*csi.ControllerServiceCapability
	for _, kind := range []csi.ControllerServiceCapability_RPC_Type{
		csi.ControllerServiceCapability_RPC_CREATE_DELETE_VOLUME,
		csi.ControllerServiceCapability_RPC_PUBLISH_UNPUBLISH_VOLUME,
		csi.ControllerServiceCapability_RPC_PUBLISH_READONLY,
		csi.ControllerServiceCapability_RPC_CREATE_DELETE_SNAPSHOT,
		csi.ControllerServiceCapability_RPC_LIST_SNAPSHOTS,
		csi.ControllerServiceCapability_RPC_CLONE_VOLUME,
	} {
		all = append(all, &csi.ControllerServiceCapability{Type: &csi.ControllerServiceCapability_Rpc{
			Rpc: &csi.ControllerServiceCapability_RPC{Type: kind},
		}})
	}
	return &csi.ControllerGetCapabilitiesResponse{Capabilities: all}, nil
}

func (c *controller) CreateVolume(_ context.Context, request *csi.CreateVolumeRequest) (*csi.CreateVolumeResponse, error) {
	if !validID.MatchString(request.Name) || len(request.VolumeCapabilities) == 0 {
		return nil, invalid("a usable name and capabilities are needed")
	}
	parameters := request.Parameters
	local := parameters["kind"] == "local"
	readOnly := true
	image, format := wantsImage(request.VolumeCapabilities[0])
	for _, capability := range request.VolumeCapabilities {
		mode := capability.GetAccessMode().GetMode()
		if (local || image) && mode == csi.VolumeCapability_AccessMode_MULTI_NODE_MULTI_WRITER {
			return nil, invalid("ReadWriteMany needs the class `shared`, and files")
		}
		readOnly = readOnly && readers(mode)
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	wanted, err := readFault(parameters)
	if err != nil {
		return nil, err
	}
	if wanted.never {
		return nil, status.Error(codes.DeadlineExceeded, "this class never makes a volume")
	}
	if _, known := c.asked[request.Name]; !known {
		c.asked[request.Name] = time.Now()
	}
	if time.Since(c.asked[request.Name]) < wanted.delay {
		return nil, status.Error(codes.Aborted, "this class makes its volumes late")
	}

	source, from, err := c.source(request.VolumeContentSource)
	if err != nil {
		return nil, err
	}
	if from != "" && source.Image != image {
		return nil, invalid("%q and what is asked for are not both images", source.ID)
	}
	size := max(request.GetCapacityRange().GetRequiredBytes(), source.Size, 1)
	entry, err := c.pool.load("volumes", request.Name)
	if err != nil {
		if image {
			err = c.pool.createImage("volumes", request.Name, from, size, format)
		} else {
			err = c.pool.create("volumes", request.Name, from, readOnly && from != "")
		}
		if err != nil {
			return nil, internal(err)
		}
		entry = &record{ID: request.Name, Source: source.ID, Size: size, Created: time.Now(), Image: image}
		if err := c.pool.store("volumes", entry); err != nil {
			return nil, internal(err)
		}
	}
	delete(c.asked, request.Name)
	volume := &csi.Volume{VolumeId: entry.ID, CapacityBytes: entry.Size, ContentSource: request.VolumeContentSource}
	if local {
		// Preferred comes first: with WaitForFirstConsumer it is the pod's node.
		needs := request.GetAccessibilityRequirements()
		for _, topology := range append(needs.GetPreferred(), needs.GetRequisite()...) {
			volume.AccessibleTopology = []*csi.Topology{topology}
			break
		}
		if volume.AccessibleTopology == nil {
			return nil, invalid("a node-local volume needs a node")
		}
	}
	return &csi.CreateVolumeResponse{Volume: volume}, nil
}

// source finds what a volume is made from: nothing, if its path is empty.
func (c *controller) source(content *csi.VolumeContentSource) (record, string, error) {
	kind, id := "", ""
	switch {
	case content.GetSnapshot() != nil:
		kind, id = "snapshots", content.GetSnapshot().SnapshotId
	case content.GetVolume() != nil:
		kind, id = "volumes", content.GetVolume().VolumeId
	default:
		return record{}, "", nil
	}
	entry, err := c.pool.load(kind, id)
	if err != nil {
		return record{}, "", status.Errorf(codes.NotFound, "%s: no %q", kind, id)
	}
	return *entry, c.pool.path(kind, id), nil
}

func readers(mode csi.VolumeCapability_AccessMode_Mode) bool {
	return mode == csi.VolumeCapability_AccessMode_MULTI_NODE_READER_ONLY ||
		mode == csi.VolumeCapability_AccessMode_SINGLE_NODE_READER_ONLY
}

func (c *controller) DeleteVolume(_ context.Context, request *csi.DeleteVolumeRequest) (*csi.DeleteVolumeResponse, error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	delete(c.asked, request.VolumeId)
	if err := c.pool.remove("volumes", request.VolumeId); err != nil {
		return nil, internal(err)
	}
	return &csi.DeleteVolumeResponse{}, nil
}

// Attaching costs nothing here. It exists so that Kubernetes refuses a ReadWriteOnce volume to a second node.
func (c *controller) ControllerPublishVolume(_ context.Context, request *csi.ControllerPublishVolumeRequest) (*csi.ControllerPublishVolumeResponse, error) {
	if _, err := c.pool.load("volumes", request.VolumeId); err != nil {
		return nil, status.Errorf(codes.NotFound, "no volume %q", request.VolumeId)
	}
	return &csi.ControllerPublishVolumeResponse{}, nil
}

func (c *controller) ControllerUnpublishVolume(context.Context, *csi.ControllerUnpublishVolumeRequest) (*csi.ControllerUnpublishVolumeResponse, error) {
	return &csi.ControllerUnpublishVolumeResponse{}, nil
}

func (c *controller) ValidateVolumeCapabilities(_ context.Context, request *csi.ValidateVolumeCapabilitiesRequest) (*csi.ValidateVolumeCapabilitiesResponse, error) {
	return &csi.ValidateVolumeCapabilitiesResponse{Confirmed: &csi.ValidateVolumeCapabilitiesResponse_Confirmed{
		VolumeCapabilities: request.VolumeCapabilities,
	}}, nil
}

func (c *controller) CreateSnapshot(_ context.Context, request *csi.CreateSnapshotRequest) (*csi.CreateSnapshotResponse, error) {
	if !validID.MatchString(request.Name) {
		return nil, invalid("a usable name is needed")
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	// The sidecar asks again until the snapshot is ready.
	if entry, err := c.pool.load("snapshots", request.Name); err == nil {
		if entry.Source != request.SourceVolumeId {
			return nil, status.Error(codes.AlreadyExists, "the snapshot is of another volume")
		}
		return &csi.CreateSnapshotResponse{Snapshot: describe(entry)}, nil
	}
	wanted, err := readFault(request.Parameters)
	if err != nil {
		return nil, err
	}
	volume, err := c.pool.load("volumes", request.SourceVolumeId)
	if err != nil {
		return nil, status.Errorf(codes.NotFound, "no volume %q", request.SourceVolumeId)
	}
	if from := c.pool.path("volumes", volume.ID); volume.Image {
		err = c.pool.createImage("snapshots", request.Name, from, volume.Size, "")
	} else {
		err = c.pool.create("snapshots", request.Name, from, true)
	}
	if err != nil {
		return nil, internal(err)
	}
	now := time.Now()
	entry := &record{
		ID: request.Name, Source: volume.ID, Size: volume.Size, Created: now, Image: volume.Image,
		Ready: now.Add(wanted.delay), Never: wanted.never,
	}
	if err := c.pool.store("snapshots", entry); err != nil {
		return nil, internal(err)
	}
	return &csi.CreateSnapshotResponse{Snapshot: describe(entry)}, nil
}

func describe(entry *record) *csi.Snapshot {
	return &csi.Snapshot{
		SnapshotId: entry.ID, SourceVolumeId: entry.Source, SizeBytes: entry.Size,
		CreationTime: timestamppb.New(entry.Created),
		ReadyToUse:   !entry.Never && !time.Now().Before(entry.Ready),
	}
}

func (c *controller) DeleteSnapshot(_ context.Context, request *csi.DeleteSnapshotRequest) (*csi.DeleteSnapshotResponse, error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if err := c.pool.remove("snapshots", request.SnapshotId); err != nil {
		return nil, internal(err)
	}
	return &csi.DeleteSnapshotResponse{}, nil
}

func (c *controller) ListSnapshots(_ context.Context, request *csi.ListSnapshotsRequest) (*csi.ListSnapshotsResponse, error) {
	all, err := c.pool.list("snapshots")
	if err != nil {
		return nil, internal(err)
	}
	sort.Slice(all, func(one, other int) bool { return all[one].ID < all[other].ID })
	begin := 0
	if request.StartingToken != "" {
		if begin, err = strconv.Atoi(request.StartingToken); err != nil || begin > len(all) {
			return nil, status.Error(codes.Aborted, "a token that is not ours")
		}
	}
	answer := &csi.ListSnapshotsResponse{}
	for number, entry := range all[begin:] {
		if request.MaxEntries > 0 && len(answer.Entries) == int(request.MaxEntries) {
			answer.NextToken = strconv.Itoa(begin + number)
			break
		}
		if (request.SnapshotId == "" || request.SnapshotId == entry.ID) && (request.SourceVolumeId == "" || request.SourceVolumeId == entry.Source) {
			answer.Entries = append(answer.Entries, &csi.ListSnapshotsResponse_Entry{Snapshot: describe(entry)})
		}
	}
	return answer, nil
}
