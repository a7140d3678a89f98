FROM golang:1.26.8 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY cmd cmd
COPY internal internal
ARG VERSION=dev
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X github.com/planton/kubernetes-job-action/internal/app.version=${VERSION}" \
    -o /kubernetes-job-action ./cmd/kubernetes-job-action

# A base with a shell, tail, tar and find: GitLab's runner and GitHub's runner on Kubernetes start their steps through them.
FROM alpine:3.22
LABEL org.opencontainers.image.source=https://github.com/planton/kubernetes-job-action \
      org.opencontainers.image.licenses=Apache-2.0
COPY --from=build /kubernetes-job-action /usr/local/bin/kubernetes-job-action
# The post step of the action: the runner starts it by its path, without arguments.
RUN ln -s kubernetes-job-action /usr/local/bin/kubernetes-job-action-post
# Root, because GitHub's command files can be written by no other user. In exec form, because a shell as process 1 would
# never pass the cancel signal on.
ENTRYPOINT ["/usr/local/bin/kubernetes-job-action"]
