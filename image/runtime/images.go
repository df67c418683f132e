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

	// PID 1 starts us when containerd said that it is ready; under emulation it answers within one.
	answersWithin = 10 * time.Second

	// Half a megabyte under emulation takes a second; a disk that needs a minute is a fault
	// that PID 1 wants to hear about.
	importedWithin = time.Minute
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
	ctx, cancel := context.WithTimeout(ctx, importedWithin)
	defer cancel()

	containerd, err := connect(ctx)
	if err != nil {
		return fmt.Errorf("connect to containerd at %s: %w", socket, err)
	}
	defer containerd.Close()

	for _, archive := range archives {
		if err := importArchive(ctx, containerd, archive); err != nil {
			return fmt.Errorf("import %s: %w", archive, err)
		}
	}
	return nil
}

// connect returns when containerd answers, not when its socket is there.
func connect(ctx context.Context) (*client.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, answersWithin)
	defer cancel()

	containerd, err := client.New(socket, client.WithDefaultNamespace(namespace))
	if err != nil {
		return nil, err
	}
	serving, err := containerd.IsServing(ctx)
	if err == nil && !serving {
		err = errors.New("it does not serve yet")
	}
	if err != nil {
		containerd.Close()
		return nil, err
	}
	return containerd, nil
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
