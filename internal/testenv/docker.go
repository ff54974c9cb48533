package testenv

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/modules/postgres"

	"github.com/pgidem/pgidem/internal/pgserver"
)

// Environment variables of the Docker leg.
const (
	// ImageVariable names the image; PostgreSQL's own by default.
	ImageVariable = "PGIDEM_TEST_POSTGRES_IMAGE"
	// PullVariable set to 1 allows an image that is not on the engine to be
	// pulled.
	PullVariable = "PGIDEM_TEST_PULL"
)

const (
	defaultImage = "postgres:17-alpine"
	// engineTimeout bounds the question whether there is an engine with the
	// image: one that hangs must not hold up the legs behind it.
	engineTimeout = 3 * time.Second
	// startTimeout and pullTimeout bound the container's way to readiness. A
	// pull without a way to the registry would go on for a quarter of an hour.
	startTimeout = 90 * time.Second
	pullTimeout  = 5 * time.Minute
)

func dockerPostgres(ctx context.Context, options pgserver.Options) (*pgserver.Server, error) {
	image := cmp.Or(os.Getenv(ImageVariable), defaultImage)
	pull := os.Getenv(PullVariable) == "1"
	if err := inspectImage(ctx, image, pull); err != nil {
		return nil, err
	}
	limit := startTimeout
	if pull {
		limit += pullTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return runContainer(ctx, image, options)
}

// inspectImage tells whether a container of image can be started.
func inspectImage(ctx context.Context, image string, pull bool) (err error) {
	// Where no engine is configured testcontainers has been seen to panic.
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("no engine: %v", r)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, engineTimeout)
	defer cancel()
	client, err := testcontainers.NewDockerClientWithOpts(ctx)
	if err != nil {
		return fmt.Errorf("no engine: %w", err)
	}
	defer func() { _ = client.Close() }()
	if _, err := client.ImageInspect(ctx, image); err != nil && !pull {
		return fmt.Errorf("image %s is not on the engine (%s=1 allows a pull): %w", image, PullVariable, err)
	}
	return nil
}

func runContainer(ctx context.Context, image string, options pgserver.Options) (*pgserver.Server, error) {
	container, err := postgres.Run(ctx, image,
		postgres.WithUsername("postgres"),
		postgres.WithPassword("postgres"),
		postgres.BasicWaitStrategies(),
		// In place of the module's own command, which switches fsync off.
		testcontainers.WithCmd(commandLine(options)...),
	)
	stop := func() error { return testcontainers.TerminateContainer(container) }
	if err != nil {
		return nil, errors.Join(err, stop())
	}
	url, err := container.ConnectionString(ctx, "sslmode=disable")
	if err != nil {
		return nil, errors.Join(err, stop())
	}
	return pgserver.Foreign(url, "Docker image "+image, stop), nil
}

func commandLine(options pgserver.Options) []string {
	line := []string{"postgres"}
	for _, setting := range options.AllSettings() {
		line = append(line, "-c", setting)
	}
	return line
}
