// SPDX-License-Identifier: Apache-2.0

// Containerd, and what brings it the images that the node carries itself.
//
// One program with two names. `containerd` is upstream's, with upstream's plugins; `import-images`
// talks to it through the client that containerd holds anyway, so it costs kilobytes where the
// `ctr` of upstream costs 23 MB.
//
// What is deliberately absent: the shim. One of them stays in memory beside each pod, so it is a
// program of its own and small (and both register plugins, which must not meet in one process).
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	_ "github.com/containerd/containerd/v2/cmd/containerd/builtins"
	"github.com/containerd/containerd/v2/cmd/containerd/command"
)

var parts = map[string]func(context.Context, []string) error{
	"containerd":    func(ctx context.Context, args []string) error { return command.App().Run(ctx, args) },
	"import-images": func(ctx context.Context, args []string) error { return importImages(ctx, args[1:]) },
}

func main() {
	name := filepath.Base(os.Args[0])
	part, known := parts[name]
	if !known {
		fmt.Fprintf(os.Stderr, "containerd: called as %q, but holds only: containerd, import-images\n", name)
		os.Exit(64) // EX_USAGE, sysexits(3)
	}
	if err := part(context.Background(), os.Args); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
}
