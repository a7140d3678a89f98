'use strict'
// The post step. Without a record of the main step there was no Job, so nothing has to be found or downloaded.
if (process.env.STATE_job) require('./main.cjs').launch('post')
