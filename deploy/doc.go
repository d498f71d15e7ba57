// Package deploy holds the manifests and the Dockerfile that operators start from, and
// tests of what a machine can tell about them without a cluster: numbers and names that
// must agree in two places, files that must exist. integration applies them to a real
// API server. README.md gives the reason of each choice.
package deploy
