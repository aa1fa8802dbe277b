# syntax=docker/dockerfile:1
# packaging/README.md has the commands.

FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
# The caches of BuildKit keep registry and dependencies between builds; what is needed is copied out of them.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --locked --profile dist -p postrider --bin postrider \
    && install -D -m 755 target/dist/postrider /image/usr/bin/postrider \
    && install -D -m 644 -t /image/usr/share/doc/postrider LICENSE-APACHE LICENSE-MIT \
    && install -d /data

# The same glibc as the build, root certificates and time zones; no shell, no package manager. The tag's user is 65532.
FROM gcr.io/distroless/cc-debian12:nonroot
LABEL org.opencontainers.image.title="Postrider" \
      org.opencontainers.image.description="Self-hosted postback integration platform for affiliate marketing" \
      org.opencontainers.image.source="https://github.com/postrider/postrider" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
COPY --from=build /image/ /
# A new volume gets the owner of the folder that it covers.
COPY --from=build --chown=65532:65532 /data /var/lib/postrider
ENV POSTRIDER_DATA_DIR=/var/lib/postrider \
    POSTRIDER_LISTEN=0.0.0.0:8080
VOLUME /var/lib/postrider
EXPOSE 8080
USER 65532:65532
# Alive, and not ready: a container that is restarted because its database is away loses the results of postbacks in flight.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 CMD ["/usr/bin/postrider", "healthcheck"]
# SIGTERM finishes what is in flight, for up to six times POSTRIDER_DRAIN_TIMEOUT_MS (15 s): docker run --stop-timeout 100.
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/bin/postrider"]
CMD ["serve"]
