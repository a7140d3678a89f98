package event

import "testing"

// What a CI system's own mask gets, and what would damage the logs and outputs of its other steps.
func TestLooksSecret(t *testing.T) {
	for _, ordinary := range []string{
		"", "shop", "localhost", "info", "loglevel: info", "error", "main", "https://", "succeeded", "ubuntu", "ubuntu-24.04", "production", "postgres", "postgres15",
		"db.shop.svc.cluster.local:5432", "https://api.example.com/v1/things", "eu-central-1", "us-east-1a", "2026-11-28T19:12:06", "1764357126", "127.0.0.1:8080",
		"ghcr.io/acme/shop:1.36", "someone@example.com", "ServiceAccountTokenVolumeProjection", "the quick brown fox jumps over the lazy dog", "refs/heads/main",
		"linux/amd64", "x86_64-unknown-linux-gnu", "sha256", "512Mi", "-----BEGIN RSA PRIVATE KEY-----", "key=value", `"username": "shop"`, "/var/run/secrets/token", "true",
		"* 5 * * *", "APPLICATION_NAME", "v1.2.3-rc.1", "10.0.0.0/16", "utf8mb4_general_ci", "k8s-prod-1",
	} {
		if LooksSecret(ordinary) {
			t.Errorf("%q is no credential", ordinary)
		}
	}
	for _, secret := range []string{
		"hunter2secret", "dXNlcjpwYXNzd29yZA==", "ghp_16C7e42F292c6912E7710c838347Ae178B4a", "AKIAIOSFODNN7EXAMPLE1a2b", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
		"550e8400-e29b-41d4-a716-446655440000", "postgres://shop:pass@db:5432/shop", "correct!horse", "Tr0ub4dor&3xyz", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc",
		"password=hunter2secret sslmode=disable", "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7", "d41d8cd98f00b204e9800998ecf8427e", "qwhzkjxvbnmplokijuhygtfrdeswa",
	} {
		if !LooksSecret(secret) {
			t.Errorf("%q is a credential", secret)
		}
	}
}
