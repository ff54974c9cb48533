package server

import (
	"github.com/pgidem/pgidem/torture/broken"
	"github.com/pgidem/pgidem/torture/plan"
)

func (k *stack) openBroken() error {
	for _, level := range plan.Levels {
		sound, err := k.openPostgres(level)
		if err != nil {
			return err
		}
		store, err := broken.Open(k.settings.Broken, broken.Ground{Pool: k.pool, IsoLevel: isolation[level], Sound: sound})
		if err != nil {
			return err
		}
		if store.Sweep != nil {
			k.sweeps = append(k.sweeps, store.Sweep)
		}
		k.serve(level, store, store.InTx)
	}
	return nil
}
