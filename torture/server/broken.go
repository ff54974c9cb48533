package server

import "errors"

func (k *stack) openBroken() error { return errors.New("server: no broken store yet") }
