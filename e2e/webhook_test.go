package e2e

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdWebhook: webhook MESSAGE
func cmdWebhook(ts *testscript.TestScript, args []string) {
	needArgs(ts, args, 1, "webhook MESSAGE")
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review struct{ Request struct{ UID string } }
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": map[string]any{
			"uid": review.Request.UID, "allowed": false, "status": map[string]any{"message": args[0]}}}) // who is gone needs no answer
	}))
	ts.Defer(server.Close)
	ts.Setenv("WEBHOOK_URL", server.URL)
	ts.Setenv("WEBHOOK_CA", authority(server))
}
