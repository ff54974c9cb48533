package redisserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/pgidem/pgidem/internal/localproc"
)

// masters is how many nodes a Cluster has: the fewest that redis-cli makes one
// of.
const masters = 3

// Cluster is a Redis Cluster that is ready. Its methods are not safe for
// concurrent use, but for Addrs and Origin.
type Cluster struct {
	addrs  []string
	origin string
	nodes  []*Server // none: not ours
}

// FindCluster returns the Cluster that ClusterVariable names, or one of three
// masters that it starts in the way of StartOrInstall.
func FindCluster(ctx context.Context) (*Cluster, error) {
	addrs := os.Getenv(ClusterVariable)
	if addrs == "" {
		return StartCluster(ctx)
	}
	c := &Cluster{addrs: strings.Split(addrs, ","), origin: "cluster of " + ClusterVariable}
	for _, addr := range c.addrs {
		if err := ping(ctx, addr); err != nil {
			return nil, fmt.Errorf("redisserver: %s: %w", ClusterVariable, err)
		}
	}
	return c, nil
}

// StartCluster starts three masters, which share the slots.
func StartCluster(ctx context.Context) (*Cluster, error) {
	c := &Cluster{origin: "three local masters"}
	options := Options{Settings: []string{"cluster-enabled yes", "cluster-node-timeout 5000"}}
	for range masters {
		node, err := StartOrInstall(ctx, options)
		if err != nil {
			return nil, errors.Join(err, c.Stop())
		}
		c.nodes, c.addrs = append(c.nodes, node), append(c.addrs, node.Addr())
	}
	if err := c.create(ctx); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

func (c *Cluster) create(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, localproc.StartTimeout)
	defer cancel()
	bin, err := findBinaries()
	if err != nil {
		return err
	}
	args := append([]string{"--cluster", "create"}, c.addrs...)
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "redis-cli"), append(args, "--cluster-yes")...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("redisserver: %s: %w\n%s", cmd, err, out)
	}
	return c.awaitSlots(ctx)
}

// awaitSlots returns when every node knows who serves what: the first to hear of
// it is not the last.
func (c *Cluster) awaitSlots(ctx context.Context) error {
	for _, addr := range c.addrs {
		if err := localproc.Await(ctx, nil, func(ctx context.Context) error { return serves(ctx, addr) }); err != nil {
			return fmt.Errorf("redisserver: the node at %s does not come to know the cluster: %w", addr, err)
		}
	}
	return nil
}

// serves returns an error unless the node would answer for a key, if only by
// naming another node.
func serves(ctx context.Context, addr string) error {
	answer, err := ask(ctx, addr, "GET any")
	if err == nil && !strings.HasPrefix(answer, "$") && !strings.HasPrefix(answer, "-MOVED") {
		err = errors.New(answer)
	}
	return err
}

// Addrs are the nodes' addresses, each host:port.
func (c *Cluster) Addrs() []string { return c.addrs }

// Origin says in a few words what was found and where.
func (c *Cluster) Origin() string { return c.origin }

// Stop ends the nodes that were started and removes their data. It may be called
// twice.
func (c *Cluster) Stop() error {
	var errs []error
	for _, node := range c.nodes {
		errs = append(errs, node.Stop())
	}
	return errors.Join(errs...)
}
