"""The web layer: sockets, HTTP routes and the page. Thin adapters over the engine below."""
