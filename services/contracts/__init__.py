"""Contracts: customers, servers, the agreement, the catalogue, contracts and their periods, work requests."""
