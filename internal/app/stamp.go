package app

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"os"
	"strings"

	"github.com/planton/kubernetes-job-action/internal/cluster"
	"github.com/planton/kubernetes-job-action/internal/event"
)

// ciRun is what the CI system says about its run; its fields are empty outside CI.
type ciRun struct{ url, id, attempt, pipeline, commit, actor string }

// ciRun reads the variables that GitHub's and GitLab's runners set for every job. GitLab gives a job that is retried a new id, so it
// has no attempts.
func (a *app) ciRun() ciRun {
	if id := a.getenv("GITHUB_RUN_ID"); id != "" {
		return ciRun{
			url:     a.getenv("GITHUB_SERVER_URL") + "/" + a.getenv("GITHUB_REPOSITORY") + "/actions/runs/" + id,
			id:      id,
			attempt: a.getenv("GITHUB_RUN_ATTEMPT"),
			commit:  a.getenv("GITHUB_SHA"),
			actor:   cmp.Or(a.getenv("GITHUB_TRIGGERING_ACTOR"), a.getenv("GITHUB_ACTOR")), // who started this attempt, or the first one
		}
	}
	r := ciRun{url: a.getenv("CI_JOB_URL"), id: a.getenv("CI_JOB_ID"), pipeline: a.getenv("CI_PIPELINE_ID"), actor: a.getenv("GITLAB_USER_LOGIN")}
	for _, variable := range commits {
		r.commit = cmp.Or(r.commit, a.getenv(variable))
	}
	return r
}

// commits are the variables in which CI systems other than GitHub name the commit: GitLab and Woodpecker, Jenkins, CircleCI, Buildkite, Azure,
// Bitbucket, Drone.
var commits = []string{"CI_COMMIT_SHA", "GIT_COMMIT", "CIRCLE_SHA1", "BUILDKITE_COMMIT", "BUILD_SOURCEVERSION", "BITBUCKET_COMMIT", "DRONE_COMMIT_SHA"}

// onceKey is the option of that name, or the commit; "" without either.
func (a *app) onceKey() string { return cmp.Or(a.options.OnceKey, a.ciRun().commit) }

// holder tells others who holds the lock: the address of the CI run, or this process outside CI.
func (a *app) holder() string {
	if url := a.ciRun().url; url != "" {
		return url
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown host"
	}
	return fmt.Sprintf("process %d on %s", os.Getpid(), host)
}

// stamp are the annotations of a Job of this run. The nonce identifies our own Job among others of the same name when the answer to its
// creation was lost. Commands that create nothing leave it out, so that equal input gives equal output.
func (a *app) stamp(command string) map[string]string {
	r := a.ciRun()
	stamp := map[string]string{}
	if command == "run" {
		stamp[cluster.NonceAnnotation] = rand.Text()
	}
	for key, value := range map[string]string{event.RunURLAnnotation: r.url, event.StampPrefix + "run-id": r.id, event.AttemptAnnotation: r.attempt, event.StampPrefix + "pipeline-id": r.pipeline,
		event.CommitAnnotation: r.commit, event.ActorAnnotation: r.actor, event.OnceKeyAnnotation: a.onceKey()} {
		if value != "" {
			stamp[key] = value
		}
	}
	return stamp
}

// nameSuffix is the option of that name, with "run" resolved.
func (a *app) nameSuffix() (string, []event.Finding) {
	if suffix := a.options.Render.NameSuffix; suffix != "run" {
		return suffix, nil
	}
	r := a.ciRun()
	if r.id == "" {
		return "", []event.Finding{{Level: event.Error, Path: "name-suffix",
			Message:    "`run` needs the id of a CI run, and neither GITHUB_RUN_ID nor CI_JOB_ID is set",
			Suggestion: "outside CI, choose one yourself, as in --name-suffix=1"}}
	}
	return strings.TrimSuffix(r.id+"-"+r.attempt, "-"), nil
}
