# An image with nothing in it but one static binary.
#
#   docker build --tag nearside .
#   docker run --rm nearside demo --headless
#   docker run --rm -v $PWD/config:/etc/nearside:ro -p 8080:8080 nearside
#
# The configuration is read from /etc/nearside. In a container, bind the health listener to 0.0.0.0 for Prometheus, and set
# admin.token_file, admin.tokens_file, admin.state_dir and affinity.key_file to a writable place, such as a mounted
# /var/lib/nearside, if /etc/nearside is read-only.

ARG RUST_IMAGE=docker.io/library/rust:1.95-slim-bookworm
FROM ${RUST_IMAGE} AS build
WORKDIR /source
COPY . .
# glibc's static form resolves no names; nearside brings its own resolver, so nothing of glibc is missed.
ENV RUSTFLAGS="-C target-feature=+crt-static"
RUN target=$(rustc -vV | sed -n 's/^host: //p') \
 && cargo build --locked --profile dist --package nearside --target "$target" \
 && mkdir -p /image/usr/bin /image/etc/nearside /image/tmp \
 && chmod 1777 /image/tmp \
 && cp "target/$target/dist/nearside" /image/usr/bin/nearside \
 && /image/usr/bin/nearside --version

FROM scratch
COPY --from=build /image /
USER 65532:65532
EXPOSE 8080 8443 9190
HEALTHCHECK --interval=10s --timeout=3s CMD ["/usr/bin/nearside", "ready", "--config", "/etc/nearside/nearside.toml"]
ENTRYPOINT ["/usr/bin/nearside"]
CMD ["run", "--config", "/etc/nearside/nearside.toml"]
