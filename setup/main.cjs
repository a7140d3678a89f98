'use strict'
// Puts the folder of the program on the PATH of the steps that follow.

const fs = require('node:fs')
const path = require('node:path')
const { find, fail, program } = require('../native/main.cjs')

find().then((file) => {
  if (path.basename(file) !== program) throw new Error(`${file} must be named ${program}, because its folder goes to the PATH`)
  if (!process.env.GITHUB_PATH) throw new Error('GITHUB_PATH is not set, as it is on GitHub\'s runner')
  fs.appendFileSync(process.env.GITHUB_PATH, path.dirname(file) + '\n')
}).catch(fail)
