package app

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// Every example is valid as its workflow or pipeline runs it, and nothing is advised. Its inputs and outputs are the action's,
// which no linter of workflows knows.
func TestExamples(t *testing.T) {
	const root = "../.."
	var action struct{ Inputs, Outputs map[string]any }
	readYAML(t, root+"/action.yml", &action)
	readme, err := os.ReadFile(root + "/README.md")
	if err != nil {
		t.Fatal(err)
	}
	pipelines, err := filepath.Glob(root + "/examples/*/*.yml")
	if err != nil {
		t.Fatal(err)
	}
	folders, err := filepath.Glob(root + "/examples/*")
	if err != nil {
		t.Fatal(err)
	}
	if len(pipelines) == 0 || len(pipelines) != len(folders) {
		t.Errorf("%d examples have %d workflows and pipelines", len(folders), len(pipelines))
	}
	read := regexp.MustCompile(`steps\.\w+\.outputs\.([\w-]+)`)
	for _, path := range pipelines {
		example := filepath.Base(filepath.Dir(path))
		t.Run(example, func(t *testing.T) {
			if !strings.Contains(string(readme), "(examples/"+example+")") {
				t.Error("README.md has no link to it")
			}
			inputs, env := inputsOf(t, path)
			if manifest := inputs["manifest"]; manifest != "examples/"+example+"/job.yaml" {
				t.Errorf("it runs the manifest %q", manifest)
			}
			for name, value := range inputs {
				if _, known := action.Inputs[name]; !known {
					t.Errorf("there is no input %q", name)
				}
				env["INPUT_"+strings.ToUpper(name)] = value
			}
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, match := range read.FindAllStringSubmatch(string(text), -1) {
				if _, known := action.Outputs[match[1]]; !known {
					t.Errorf("there is no output %q", match[1])
				}
			}
			got := call(t, root, "", env, "validate")
			if got.code != 0 || !strings.Contains(got.stderr, "the manifest is valid") || strings.Contains("\n"+got.stderr, "\n! ") {
				t.Errorf("exit code %d\n%s", got.code, got.stderr)
			}
		})
	}
}

// inputsOf returns the inputs of the action's only step in a workflow, or of its only job in a GitLab pipeline, and the
// environment variables beside them. A word stands for every value that a run would put in.
func inputsOf(t *testing.T, path string) (inputs, env map[string]string) {
	t.Helper()
	inputs, env = map[string]string{}, map[string]string{"GITHUB_RUN_ID": "1"} // for name-suffix: run
	if filepath.Base(path) == ".gitlab-ci.yml" {
		var jobs map[string]any
		readYAML(t, path, &jobs)
		for _, job := range jobs {
			fields, _ := job.(map[string]any) // stages is a list
			variables, _ := fields["variables"].(map[string]any)
			for name, value := range variables {
				if name, ok := strings.CutPrefix(name, "INPUT_"); ok {
					inputs[strings.ReplaceAll(strings.ToLower(name), "_", "-")] = os.Expand(value.(string), func(string) string { return "word" })
				}
			}
		}
		for name := range strings.FieldsSeq(inputs["substitute"]) {
			env[name] = "word"
		}
		return inputs, env
	}
	var workflow struct {
		Jobs map[string]struct {
			Steps []struct {
				Uses      string
				With, Env map[string]string
			}
		}
	}
	readYAML(t, path, &workflow)
	expression := regexp.MustCompile(`\$\{\{.*?\}\}`)
	for _, job := range workflow.Jobs {
		for _, step := range job.Steps {
			if step.Uses != "planton/kubernetes-job-action@v1" {
				continue
			}
			for name, value := range step.With {
				inputs[name] = expression.ReplaceAllString(value, "word")
			}
			for name, value := range step.Env {
				env[name] = expression.ReplaceAllString(value, "word")
			}
		}
	}
	return inputs, env
}

func readYAML(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}
