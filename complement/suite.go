// Package suite pins the version of Complement that judges this server.
//
// It holds no tests: `cargo xtask complement` runs the ones that Complement publishes.
package suite

import _ "github.com/matrix-org/complement" // so that `go mod tidy` keeps the suite
