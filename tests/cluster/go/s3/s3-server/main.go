// s3-server serves the folders below a folder as S3 buckets. It is versitygw without what no test needs: its own program
// brings other clouds' storage and a test suite, which are a third of what it compiles.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/embedgw"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "s3-server:", err)
		os.Exit(1)
	}
}

func run() error {
	address := flag.String("port", "", "where to listen, as `HOST:PORT`")
	certificate := flag.String("cert", "", "the `FILE` of a certificate: serve with TLS")
	key := flag.String("key", "", "the `FILE` of its key")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: s3-server --port HOST:PORT [--cert FILE --key FILE] FOLDER\n"+
			"ROOT_ACCESS_KEY and ROOT_SECRET_KEY in the environment are the keys that may do everything.")
		flag.PrintDefaults()
	}
	flag.Parse()
	if *address == "" || flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	if err := (meta.XattrMeta{}).Test(flag.Arg(0)); err != nil {
		return fmt.Errorf("%s keeps no extended attributes: %w", flag.Arg(0), err)
	}
	options := posix.PosixOpts{CopyObjectThreshold: 5 << 30}
	options.SetNewDirPerm(0o755)
	options.SetNewFilePerm(0o644)
	folder, err := posix.New(flag.Arg(0), meta.XattrMeta{}, options)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err = embedgw.RunVersityGW(ctx, folder, &embedgw.Config{
		RootUserAccess:    os.Getenv("ROOT_ACCESS_KEY"),
		RootUserSecret:    os.Getenv("ROOT_SECRET_KEY"),
		Ports:             []string{*address},
		CertFile:          *certificate,
		KeyFile:           *key,
		MaxConnections:    250000,
		MaxRequests:       100000,
		MultipartMaxParts: 10000,
		Quiet:             true,
	})
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
