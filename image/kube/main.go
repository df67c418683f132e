// SPDX-License-Identifier: Apache-2.0

// Kube is Kubernetes as one program: the name that it is called by says which part it is.
//
// The parts share nearly all their code, so one program is a third of the size of its parts
// built apart (docs/decisions/0003-go-programs.md). A new part is a row in the table below, a
// link of that name in the image, and nothing else.
//
// What is deliberately absent: anything of ours between the name and the part. Flags,
// configuration and exit codes are upstream's.
package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"          // --logging-format=json exists only when linked
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // /metrics lacks the API client's figures otherwise
	_ "k8s.io/component-base/metrics/prometheus/version"  // and the build's version
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

var parts = map[string]func() *cobra.Command{
	"kubelet": func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) },
}

func main() {
	name := filepath.Base(os.Args[0])
	part, known := parts[name]
	if !known {
		names := strings.Join(slices.Sorted(maps.Keys(parts)), ", ")
		fmt.Fprintf(os.Stderr, "kube: called as %q, but holds only: %s\n", name, names)
		os.Exit(64) // EX_USAGE, sysexits(3)
	}
	os.Exit(cli.Run(part()))
}
