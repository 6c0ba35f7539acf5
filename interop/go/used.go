// Package interop names what the page for Go uses, so that it can be fetched beforehand.
package interop

import (
	_ "github.com/coreos/go-oidc/v3/oidc"
	_ "golang.org/x/oauth2/clientcredentials"
)
