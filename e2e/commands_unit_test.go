package e2e

import "testing"

func TestCheckNumbered(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"all in order", "x line-1 y\nother\nline-2\nline-3", ""},
		{"a gap", "line-1\nline-3", "line-2 to line-2 are missing"},
		{"nothing", "", "line-1 to line-3 are missing"},
		{"twice", "line-1\nline-2\nline-2\nline-3", "line-2 comes 2 times"},
		{"out of order", "line-2\nline-1\nline-3", "line-1 comes behind line-2"},
		{"too many", "line-1\nline-2\nline-3\nline-4", "line-4 is outside of 1 to 3"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := ""
			if err := checkNumbered(test.text, "line-", 1, 3); err != nil {
				got = err.Error()
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
