// Package kube reads and writes one kind of object of the Kubernetes API, as JSON.
//
// It stands on client-go's rest, which knows how to reach and to convince an API
// server, and does without client-go's typed clients: they bring the types of every
// API group along and make themselves known to a registry when the program starts.
// Every worker would pay for that, 2.5 ms and 10 MB, for a beat that it is not.
package kube

import (
	"context"
	"encoding/json"
	"fmt"

	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
)

const contentType = "application/json"

// Objects are all of one kind in one namespace.
type Objects struct {
	client              *rest.RESTClient
	namespace, resource string
}

// New makes the client. It talks to nobody yet.
func New(config *rest.Config, group schema.GroupVersion, namespace, resource string) (*Objects, error) {
	config = rest.CopyConfig(config)
	config.GroupVersion = &group
	config.APIPath = "/apis"
	if group.Group == "" {
		config.APIPath = "/api"
	}
	config.ContentType, config.AcceptContentTypes = contentType, contentType
	config.NegotiatedSerializer = statuses()
	client, err := rest.RESTClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("cannot make a client for %s: %w", config.Host, err)
	}
	return &Objects{client: client, namespace: namespace, resource: resource}, nil
}

// statuses reads what an API server says of a failure; objects are read here.
func statuses() runtime.NegotiatedSerializer {
	scheme := runtime.NewScheme()
	meta.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"})
	return serializer.NewCodecFactory(scheme).WithoutConversion()
}

// Get reads the object of this name. Errors are the API server's, for apierrors to tell apart.
func (o *Objects) Get(ctx context.Context, name string, into any) error {
	return o.do(ctx, o.client.Get().Name(name), into)
}

// Create makes the object, and reads what became of it.
func (o *Objects) Create(ctx context.Context, object, into any) error {
	return o.write(ctx, o.client.Post(), object, into)
}

// Update replaces the object of this name, and reads what became of it.
func (o *Objects) Update(ctx context.Context, name string, object, into any) error {
	return o.write(ctx, o.client.Put().Name(name), object, into)
}

func (o *Objects) write(ctx context.Context, request *rest.Request, object, into any) error {
	body, err := json.Marshal(object)
	if err != nil {
		return fmt.Errorf("cannot write JSON for %s: %w", o.resource, err)
	}
	return o.do(ctx, request.SetHeader("Content-Type", contentType).Body(body), into)
}

func (o *Objects) do(ctx context.Context, request *rest.Request, into any) error {
	result := request.Namespace(o.namespace).Resource(o.resource).Do(ctx)
	if err := result.Error(); err != nil {
		return err
	}
	text, err := result.Raw()
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("cannot read the API server's answer about %s: %w", o.resource, err)
	}
	return nil
}
