"""Generated documents: AsyncAPI from the published language, OpenAPI from the services, frozen schemas."""
