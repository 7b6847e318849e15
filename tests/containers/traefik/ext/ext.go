// Package ext has nothing to add to traefik's configuration; traefik's own module leaves this nested one out.
package ext

type (
	HTTP   struct{}
	Router struct{}
)
