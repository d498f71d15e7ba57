// Package redisbroker implements broker over Redis the way kombu does; this page
// lists every key it touches.
package redisbroker
