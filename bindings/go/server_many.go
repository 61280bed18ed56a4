package nuthatch

import "errors"

const (
	pipelineCount = 64       // commands under way at a time
	pipelineBytes = 16 << 10 // and bytes of them beyond which no more are added: a server that waits for room to
	// answer must not wait for us
)

func (s *server) run(space uint32, batch *Batch) error {
	batch.room = batch.room[:0]
	for next := 0; next < len(batch.operations); {
		var request []byte
		var asked []*operation
		mayRepeat := true
		for next < len(batch.operations) && len(asked) < pipelineCount && len(request) < pipelineBytes {
			op := &batch.operations[next]
			next++
			if op.isDone != 0 {
				continue
			}
			request = appendOperation(request, batch, op)
			if op.what != batchGet {
				mayRepeat = false
				s.leases.forget(space, batch.key(op))
			}
			asked = append(asked, op)
		}
		if len(asked) == 0 {
			continue
		}
		replies, err := s.pool.ask(space, request, len(asked), mayRepeat)
		if err != nil {
			return err
		}
		for i, op := range asked {
			if err := finish(batch, op, &replies[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

func appendOperation(request []byte, batch *Batch, op *operation) []byte {
	key := batch.key(op)
	switch op.what {
	case batchGet:
		return command(request, []byte("GET"), key)
	case batchDelete:
		return command(request, []byte("DEL"), key)
	}
	set := settings{ttl: op.ttl, softTTL: op.softTTL, flags: op.flags}
	if op.ttl < 0 {
		return command(request, []byte("DEL"), key)
	}
	name := "NH.SET"
	if set.isPlain() {
		name = "SET"
	}
	return command(request, append([][]byte{[]byte(name), key, batch.value(op)}, putWords(&set)...)...)
}

func finish(batch *Batch, op *operation, got *reply) error {
	op.isDone = 1
	switch err := errorOf(got); {
	case err == nil:
	case errors.Is(err, ErrFull):
		op.result = resultFull
		return nil
	case errors.Is(err, ErrTooLarge):
		op.result = resultTooLarge
		return nil
	case isUnknownCommand(got):
		op.result = resultUnsupported
		return nil
	default:
		return err
	}
	switch {
	case op.what == batchGet && !got.isValue(), op.what == batchDelete && got.kind != ':':
		return got.unexpected()
	case op.what == batchGet && got.isNull, op.what == batchDelete && got.number == 0:
		op.result = resultMissing
	case op.what == batchGet:
		op.valueAt, op.valueSize = uint64(len(batch.room)), uint64(len(got.text))
		batch.room = append(batch.room, got.text...)
	}
	return nil
}

func (s *server) walk(space uint32, look func(key, value []byte) bool) error {
	for cursor := []byte("0"); ; {
		got, err := s.ask(space, true, []byte("SCAN"), cursor, []byte("COUNT"), []byte("100"))
		if err == nil {
			err = errorOf(&got)
		}
		if err == nil && (len(got.list) != 2 || got.list[0].kind != '$' || got.list[1].kind != '*') {
			err = got.unexpected()
		}
		if err != nil {
			return err
		}
		batch := Batch{}
		for i := range got.list[1].list {
			key := &got.list[1].list[i]
			if key.kind != '$' || key.isNull {
				return key.unexpected()
			}
			batch.Get(key.text)
		}
		if err := s.run(space, &batch); err != nil {
			return err
		}
		for i := range batch.operations {
			op := &batch.operations[i]
			if op.result != resultOK {
				continue
			}
			end := op.valueAt + op.valueSize
			if !look(batch.key(op), batch.room[op.valueAt:end:end]) {
				return nil
			}
		}
		if cursor = got.list[0].text; string(cursor) == "0" {
			return nil
		}
	}
}
