// csi-driver is the dev cluster's storage: one btrfs file system that every node of this machine
// reaches. A volume is a subvolume, a snapshot a read-only subvolume snapshot, which is atomic under
// writes and costs nothing. Raw devices and ext4 are image files (image.go).
package main

import (
	"context"
	"flag"
	"log"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
	registration "k8s.io/kubelet/pkg/apis/pluginregistration/v1"
)

const (
	topologyKey = "topology.dev.backup-controller.io/node"
	version     = "1.0.0"
)

type driver struct {
	csi.UnimplementedIdentityServer
	name string
}

func main() {
	name := flag.String("name", "dev.csi.backup-controller.io", "the driver's name")
	poolDir := flag.String("pool", "", "the mounted btrfs file system")
	endpoint := flag.String("endpoint", "", "socket of the controller service (without --node)")
	nodeName := flag.String("node", "", "serve this node's service, and register with its kubelet")
	kubeletDir := flag.String("kubelet-dir", "", "the kubelet's root folder (with --node)")
	flag.Parse()

	identity := &driver{name: *name}
	server := grpc.NewServer(grpc.UnaryInterceptor(logFailures))
	csi.RegisterIdentityServer(server, identity)
	if *nodeName == "" {
		controller, err := newController(*poolDir)
		if err != nil {
			log.Fatal(err)
		}
		csi.RegisterControllerServer(server, controller)
	} else {
		*endpoint = filepath.Join(*kubeletDir, "plugins", *name, "csi.sock")
		csi.RegisterNodeServer(server, &node{name: *nodeName, pool: *poolDir})
		registrar := grpc.NewServer()
		registration.RegisterRegistrationServer(registrar, &register{name: *name, endpoint: *endpoint})
		go serve(registrar, filepath.Join(*kubeletDir, "plugins_registry", *name+"-reg.sock"))
	}
	go func() {
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
		<-stop
		server.GracefulStop()
		os.Exit(0)
	}()
	serve(server, *endpoint)
}

func serve(server *grpc.Server, socket string) {
	if err := os.MkdirAll(filepath.Dir(socket), 0o750); err != nil {
		log.Fatal(err)
	}
	if err := os.Remove(socket); err != nil && !os.IsNotExist(err) {
		log.Fatal(err)
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		log.Fatal(err)
	}
	if err := server.Serve(listener); err != nil {
		log.Fatal(err)
	}
}

func logFailures(ctx context.Context, request any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	answer, err := handle(ctx, request)
	if err != nil {
		log.Printf("%s: %v", info.FullMethod, err)
	}
	return answer, err
}

func (d *driver) GetPluginInfo(context.Context, *csi.GetPluginInfoRequest) (*csi.GetPluginInfoResponse, error) {
	return &csi.GetPluginInfoResponse{Name: d.name, VendorVersion: version}, nil
}

func (d *driver) GetPluginCapabilities(context.Context, *csi.GetPluginCapabilitiesRequest) (*csi.GetPluginCapabilitiesResponse, error) {
	service := func(kind csi.PluginCapability_Service_Type) *csi.PluginCapability {
		return &csi.PluginCapability{Type: &csi.PluginCapability_Service_{Service: &csi.PluginCapability_Service{Type: kind}}}
	}
	return &csi.GetPluginCapabilitiesResponse{Capabilities: []*csi.PluginCapability{
		service(csi.PluginCapability_Service_CONTROLLER_SERVICE),
		service(csi.PluginCapability_Service_VOLUME_ACCESSIBILITY_CONSTRAINTS),
	}}, nil
}

func (d *driver) Probe(context.Context, *csi.ProbeRequest) (*csi.ProbeResponse, error) {
	return &csi.ProbeResponse{Ready: wrapperspb.Bool(true)}, nil
}

// register tells the kubelet where the node service is.
type register struct {
	registration.UnimplementedRegistrationServer
	name, endpoint string
}

func (r *register) GetInfo(context.Context, *registration.InfoRequest) (*registration.PluginInfo, error) {
	return &registration.PluginInfo{
		Type: registration.CSIPlugin, Name: r.name, Endpoint: r.endpoint, SupportedVersions: []string{version},
	}, nil
}

func (r *register) NotifyRegistrationStatus(_ context.Context, result *registration.RegistrationStatus) (*registration.RegistrationStatusResponse, error) {
	if !result.PluginRegistered {
		// The kubelet forgets the socket; a new process makes a new one.
		log.Fatalf("the kubelet refused the driver: %s", result.Error)
	}
	return &registration.RegistrationStatusResponse{}, nil
}

func invalid(format string, args ...any) error {
	return status.Errorf(codes.InvalidArgument, format, args...)
}

func internal(err error) error { return status.Error(codes.Internal, err.Error()) }
