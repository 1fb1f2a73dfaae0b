"""What tests share: servers, browsers, sources and other real parts."""
