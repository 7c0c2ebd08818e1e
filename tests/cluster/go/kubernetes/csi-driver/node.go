package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// node mounts volumes into the pods of one node.
type node struct {
	csi.UnimplementedNodeServer
	name, pool string
}

func (n *node) NodeGetInfo(context.Context, *csi.NodeGetInfoRequest) (*csi.NodeGetInfoResponse, error) {
	return &csi.NodeGetInfoResponse{
		NodeId:             n.name,
		AccessibleTopology: &csi.Topology{Segments: map[string]string{topologyKey: n.name}},
	}, nil
}

func (n *node) NodeGetCapabilities(context.Context, *csi.NodeGetCapabilitiesRequest) (*csi.NodeGetCapabilitiesResponse, error) {
	var all []*csi.NodeServiceCapability
	for _, kind := range []csi.NodeServiceCapability_RPC_Type{
		csi.NodeServiceCapability_RPC_STAGE_UNSTAGE_VOLUME,
		csi.NodeServiceCapability_RPC_GET_VOLUME_STATS,
	} {
		all = append(all, &csi.NodeServiceCapability{Type: &csi.NodeServiceCapability_Rpc{
			Rpc: &csi.NodeServiceCapability_RPC{Type: kind},
		}})
	}
	return &csi.NodeGetCapabilitiesResponse{Capabilities: all}, nil
}

// An image is one device of a node, whatever the number of its pods.
func (n *node) NodeStageVolume(_ context.Context, request *csi.NodeStageVolumeRequest) (*csi.NodeStageVolumeResponse, error) {
	store := pool{dir: n.pool}
	entry, err := store.load("volumes", request.VolumeId)
	if err != nil {
		return nil, status.Errorf(codes.NotFound, "no volume %q", request.VolumeId)
	}
	image, capability, staging := store.path("volumes", entry.ID), request.VolumeCapability, request.StagingTargetPath
	readOnly := readers(capability.GetAccessMode().GetMode())
	if err := os.MkdirAll(staging, 0o750); err != nil {
		return nil, internal(err)
	}
	switch {
	case !entry.Image:
	case capability.GetBlock() != nil:
		err = attachImage(image, staging, readOnly)
	case !mounted(staging):
		err = mountImage(image, staging, capability.GetMount().GetMountFlags(), readOnly)
	}
	if err != nil {
		return nil, internal(err)
	}
	return &csi.NodeStageVolumeResponse{}, nil
}

func (n *node) NodeUnstageVolume(_ context.Context, request *csi.NodeUnstageVolumeRequest) (*csi.NodeUnstageVolumeResponse, error) {
	staging := request.StagingTargetPath
	if mounted(staging) {
		if err := unix.Unmount(staging, 0); err != nil {
			return nil, internal(err)
		}
	}
	if err := detachImage(staging); err != nil {
		return nil, internal(err)
	}
	return &csi.NodeUnstageVolumeResponse{}, nil
}

func (n *node) NodePublishVolume(_ context.Context, request *csi.NodePublishVolumeRequest) (*csi.NodePublishVolumeResponse, error) {
	store := pool{dir: n.pool}
	entry, err := store.load("volumes", request.VolumeId)
	if err != nil {
		return nil, status.Errorf(codes.NotFound, "no volume %q", request.VolumeId)
	}
	target, block := request.TargetPath, request.VolumeCapability.GetBlock() != nil
	if mounted(target) {
		return &csi.NodePublishVolumeResponse{}, nil
	}
	source := store.path("volumes", entry.ID)
	if entry.Image {
		source = request.StagingTargetPath
	}
	if block {
		source = filepath.Join(source, "device")
		err = errors.Join(os.MkdirAll(filepath.Dir(target), 0o750), os.WriteFile(target, nil, 0o600))
	} else {
		err = os.MkdirAll(target, 0o750)
	}
	if err != nil {
		return nil, internal(err)
	}
	if err := unix.Mount(source, target, "", unix.MS_BIND, ""); err != nil {
		return nil, internal(err)
	}
	// Of a device, the container's rules for devices say whether it may be written.
	if block {
		return &csi.NodePublishVolumeResponse{}, nil
	}
	if request.Readonly || readers(request.VolumeCapability.GetAccessMode().GetMode()) {
		if err := unix.Mount("", target, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""); err != nil {
			return nil, internal(errors.Join(err, unix.Unmount(target, 0)))
		}
	}
	return &csi.NodePublishVolumeResponse{}, nil
}

func (n *node) NodeUnpublishVolume(_ context.Context, request *csi.NodeUnpublishVolumeRequest) (*csi.NodeUnpublishVolumeResponse, error) {
	if err := unix.Unmount(request.TargetPath, 0); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return nil, internal(err)
	}
	if err := os.Remove(request.TargetPath); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, internal(err)
	}
	return &csi.NodeUnpublishVolumeResponse{}, nil
}

func (n *node) NodeGetVolumeStats(_ context.Context, request *csi.NodeGetVolumeStatsRequest) (*csi.NodeGetVolumeStatsResponse, error) {
	if entry, err := (pool{dir: n.pool}).load("volumes", request.VolumeId); err == nil && device(request.VolumePath) {
		return &csi.NodeGetVolumeStatsResponse{Usage: []*csi.VolumeUsage{{Unit: csi.VolumeUsage_BYTES, Total: entry.Size}}}, nil
	}
	var stat unix.Statfs_t
	if err := unix.Statfs(request.VolumePath, &stat); err != nil {
		return nil, status.Error(codes.NotFound, err.Error())
	}
	block := int64(stat.Bsize)
	return &csi.NodeGetVolumeStatsResponse{Usage: []*csi.VolumeUsage{{
		Unit: csi.VolumeUsage_BYTES, Total: int64(stat.Blocks) * block,
		Available: int64(stat.Bavail) * block, Used: int64(stat.Blocks-stat.Bfree) * block,
	}}}, nil
}

func device(path string) bool {
	stat, err := os.Stat(path)
	return err == nil && stat.Mode()&os.ModeDevice != 0
}

// mounted tells whether something is mounted exactly there: it is on another device than its parent, a
// subvolume too.
func mounted(path string) bool {
	var here, above unix.Stat_t
	if unix.Stat(path, &here) != nil || unix.Stat(filepath.Dir(path), &above) != nil {
		return false
	}
	return here.Dev != above.Dev
}
