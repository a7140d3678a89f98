package app

import (
	"crypto/rand"
	"fmt"
	"os"
	"strings"

	"github.com/planton/kubernetes-job-action/internal/cluster"
	"github.com/planton/kubernetes-job-action/internal/event"
)

// stampPrefix is the prefix of the annotations that say which CI run created a Job.
const stampPrefix = "kubernetes-job-action.planton.ai/"

// ciRun is what the CI system says about its run; its fields are empty outside CI.
type ciRun struct{ url, id, attempt, pipeline, commit string }

// ciRun reads the variables that GitHub's and GitLab's runners set for every job. GitLab gives a job that is retried a new id, so it
// has no attempts.
func (a *app) ciRun() ciRun {
	if id := a.getenv("GITHUB_RUN_ID"); id != "" {
		return ciRun{
			url:     a.getenv("GITHUB_SERVER_URL") + "/" + a.getenv("GITHUB_REPOSITORY") + "/actions/runs/" + id,
			id:      id,
			attempt: a.getenv("GITHUB_RUN_ATTEMPT"),
			commit:  a.getenv("GITHUB_SHA"),
		}
	}
	return ciRun{url: a.getenv("CI_JOB_URL"), id: a.getenv("CI_JOB_ID"), pipeline: a.getenv("CI_PIPELINE_ID"), commit: a.getenv("CI_COMMIT_SHA")}
}

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
	for key, value := range map[string]string{"run-url": r.url, "run-id": r.id, "run-attempt": r.attempt, "pipeline-id": r.pipeline, "commit": r.commit} {
		if value != "" {
			stamp[stampPrefix+key] = value
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
