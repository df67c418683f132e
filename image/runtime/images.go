// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/images"
)

const (
	socket = "/run/containerd/containerd.sock"

	// The CRI plugin looks for images in no other namespace.
	namespace = "k8s.io"

	snapshotter = "overlayfs"

	// Half a megabyte under emulation takes a second; a disk that needs a minute is a fault
	// that PID 1 wants to hear about.
	deadline = time.Minute
)

// Kubelet's collection of unused images passes over one with this label. Nothing could bring it
// back: the node has no registry.
var pinned = map[string]string{"io.cri-containerd.pinned": "pinned"}

// importImages gives containerd the images in each archive (OCI or Docker layout, named by the
// annotation `io.containerd.image.name`) and unpacks them, so that a bad archive is told here and
// not when the first pod starts. Importing again what is there already changes nothing.
func importImages(ctx context.Context, archives []string) error {
	if len(archives) == 0 {
		return errors.New("no archive named: import-images ARCHIVE.tar…")
	}
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()

	containerd, err := client.New(socket, client.WithDefaultNamespace(namespace), client.WithTimeout(deadline))
	if err != nil {
		return fmt.Errorf("connect to %s: %w", socket, err)
	}
	defer containerd.Close()

	for _, archive := range archives {
		if err := importArchive(ctx, containerd, archive); err != nil {
			return fmt.Errorf("import %s: %w", archive, err)
		}
	}
	return nil
}

func importArchive(ctx context.Context, containerd *client.Client, archive string) error {
	file, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer file.Close()

	found, err := containerd.Import(ctx, file, client.WithImageLabels(pinned))
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return errors.New("it names no image")
	}
	for _, image := range found {
		if err := unpack(ctx, containerd, image); err != nil {
			return fmt.Errorf("unpack %s: %w", image.Name, err)
		}
		fmt.Printf("imported %s %s\n", image.Name, image.Target.Digest)
	}
	return nil
}

func unpack(ctx context.Context, containerd *client.Client, image images.Image) error {
	return client.NewImage(containerd, image).Unpack(ctx, snapshotter)
}
