package render

import _ "github.com/distribution/reference"
