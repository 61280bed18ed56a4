//go:build !cgo

package nuthatch

func openLibrary(Options, string) (engine, uint64, error) {
	return nil, 0, notSupported("this program was built without cgo: say in Options.Server where a nuthatch cache is, " +
		"or build with CGO_ENABLED=1")
}
