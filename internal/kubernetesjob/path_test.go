package kubernetesjob

import "testing"

// TestPath goes back from the Job's fields, by the kind of its variables: a mapping is sorted by name.
func TestPath(t *testing.T) {
	mapping := parseText(t, small+`  env:
    variables: {B: b, A: {fieldRef: {fieldPath: metadata.name}}}
    secrets: {S: {secretRef: {name: s, key: k}}}
    envFrom: [{secretRef: {name: x}}]
  volumeMounts:
    - {name: one, mountPath: /a, emptyDir: {}}
    - {name: one, mountPath: /b, emptyDir: {}}
    - {name: two, mountPath: /c, secret: {name: s, key: k, path: p}}
    - {name: three, mountPath: /d, configMap: {name: c, key: k}}
    - {name: four, mountPath: /e, pvc: {claimName: p}}
`)
	list := parseText(t, small+`  env:
    variables: [{name: B, value: b}, {name: A, value: a}]
    secrets: [{name: HOSTNAME, value: h}]
`)
	for _, test := range []struct {
		k         *KubernetesJob
		job, want string
	}{
		{mapping, "metadata.name", "metadata.name"},
		{mapping, "metadata.namespace", "spec.namespace"},
		{mapping, "metadata.labels[planton.ai/organization]", "metadata.org"},
		{mapping, "spec.template.metadata.labels[planton.ai/id]", "metadata.id"},
		{mapping, "spec.template.metadata.labels.team", "metadata.labels.team"},
		{mapping, "spec.parallelism", "spec.parallelism"},
		{mapping, "spec.template.spec.restartPolicy", "spec.restartPolicy"},
		{mapping, "spec.template.spec.containers[0].image", "spec.image"},
		{mapping, "spec.template.spec.containers[0].resources.limits[cpu]", "spec.resources.limits[cpu]"},
		{mapping, "spec.template.spec.imagePullSecrets[0].name", "spec.image.pullSecretName"},
		{mapping, "spec.template.spec.containers[0].env[0].name", "spec.env"}, // ours
		{mapping, "spec.template.spec.containers[0].env[2].valueFrom.fieldRef.fieldPath", "spec.env.variables.A.fieldRef.fieldPath"},
		{mapping, "spec.template.spec.containers[0].env[3].value", "spec.env.variables.B.value"},
		{mapping, "spec.template.spec.containers[0].env[4].valueFrom.secretKeyRef.key", "spec.env.secrets.S.secretRef.key"},
		{mapping, "spec.template.spec.containers[0].env[9].name", "spec.env"},
		{list, "spec.template.spec.containers[0].env[2].value", "spec.env.variables[1].value"},
		{list, "spec.template.spec.containers[0].env[3].name", "spec.env.secrets[0].name"},
		{mapping, "spec.template.spec.containers[0].envFrom[0].secretRef.name", "spec.env.envFrom[0].secretRef.name"},
		{mapping, "spec.template.spec.containers[0].volumeMounts[3].mountPath", "spec.volumeMounts[3].mountPath"},
		{mapping, "spec.template.spec.volumes[1].secret.secretName", "spec.volumeMounts[2].secret.name"},
		{mapping, "spec.template.spec.volumes[1].secret.items[0].path", "spec.volumeMounts[2].secret.path"},
		{mapping, "spec.template.spec.volumes[2].configMap.items[0].path", "spec.volumeMounts[3].configMap.key"},
		{mapping, "spec.template.spec.volumes[3].persistentVolumeClaim.claimName", "spec.volumeMounts[4].pvc.claimName"},
		{mapping, "spec.template.spec.volumes[7].name", "spec.volumeMounts"},
	} {
		if got := test.k.Path(test.job); got != test.want {
			t.Errorf("%s is at %s, want %s", test.job, got, test.want)
		}
	}
}
