'use strict'
// The launcher of the native action: it finds the program and becomes it. It has no dependencies, and writes nothing unless it fails.

const fs = require('node:fs')
const path = require('node:path')
const { spawn, spawnSync } = require('node:child_process')
const { createHash, randomUUID } = require('node:crypto')
const { once } = require('node:events')
const { setTimeout } = require('node:timers/promises')
const { gunzipSync } = require('node:zlib')

// What scripts/release.sh has written: with it in the tree, whoever pins the action by commit pins the program.
const release = require('./release.json')

const program = 'kubernetes-job-action' + (process.platform === 'win32' ? '.exe' : '')
const variable = 'KUBERNETES_JOB_ACTION_BINARY'

// find is the path of the program.
async function find() {
  const own = process.env[variable]
  if (own) return checked(own)
  if (!release.version) throw new Error(`no program belongs to this commit of the action, because it is no release: use a release, as in planton/kubernetes-job-action/native@v1, or name a program of your own with ${variable}; the container action (without /native) builds its own`)
  const wanted = release.programs[`${process.platform}-${process.arch}`]
  if (!wanted) throw new Error(`release ${release.version} has no program for ${process.platform}-${process.arch}, only for ${Object.keys(release.programs).join(', ')}; build one and name it with ${variable}`)
  // The tool cache of a runner of one's own may be read-only.
  const folders = [process.env.RUNNER_TOOL_CACHE, process.env.RUNNER_TEMP].filter(Boolean)
  const files = folders.map((folder) => path.join(folder, 'kubernetes-job-action', release.version, process.arch, program))
  const kept = files.find((file) => {
    try {
      fs.accessSync(file, fs.constants.X_OK)
      return sha256(fs.readFileSync(file)) === wanted.sha256
    } catch {}
  })
  if (kept) return kept
  const content = await download(wanted)
  const problems = []
  for (const file of files) {
    try { return keep(file, content) } catch (err) { problems.push(`${file}: ${err.message}`) }
  }
  throw new Error(`there is no place where the program can be kept and started: ${problems.join('; ') || 'neither RUNNER_TOOL_CACHE nor RUNNER_TEMP is set, as they are on GitHub\'s runner'}`)
}

// checked is the user's own program. Its content is the user's business, but it must be one that can be started.
function checked(own) {
  if (!path.isAbsolute(own)) throw new Error(`${variable} is ${JSON.stringify(own)}, and must be an absolute path`)
  const { error, signal, status, stdout } = spawnSync(own, ['version'], { encoding: 'utf8', timeout: 30_000 })
  if (error || status !== 0 || !stdout.trim()) throw new Error(`${own}, which ${variable} names, cannot be used: its command "version" ${error ? `fails: ${error.code}` : `ends with ${signal ?? `code ${status}`}`}; is it kubernetes-job-action for ${process.platform}-${process.arch}, and executable?`)
  // spawn leaves such a script to the shell, and a failed execve aborts Node.js. MZ begins a program of Windows.
  if (/^(?!#!|MZ)[\n -~]/.test(fs.readFileSync(own).subarray(0, 2))) throw new Error(`${own}, which ${variable} names, is a script whose first line does not begin with #!`)
  return own
}

const sha256 = (content) => createHash('sha256').update(content).digest('hex')

// keep renames the file when it is complete: nobody finds half of it, and of two that do it at the same time either is right. On Windows, a
// program that runs cannot be replaced, which counts as no place.
function keep(file, content) {
  fs.mkdirSync(path.dirname(file), { recursive: true })
  const fresh = `${file}.${randomUUID()}`
  try {
    fs.writeFileSync(fresh, content, { mode: 0o755 })
    fs.accessSync(fresh, fs.constants.X_OK) // the file system may be mounted without
    fs.renameSync(fresh, file)
  } finally {
    fs.rmSync(fresh, { force: true })
  }
  return file
}

// What Node.js says less clearly, or with the password that the URL of a proxy may hold.
const clearer = {
  ABORT_ERR: 'it takes more than five minutes',
  ECONNRESET: 'the connection broke, or nothing came for 30 s',
  ERR_BUFFER_TOO_LARGE: 'it is larger than the program',
  ERR_PROXY_INVALID_CONFIG: 'HTTPS_PROXY or HTTP_PROXY is no URL of a proxy',
  Z_DATA_ERROR: 'it is no gzip file',
}

// download is the program, inflated. It stays in memory until its hash is right.
async function download(wanted) {
  const url = `${release.url}/${wanted.file}`
  const unheeded = (process.env.HTTPS_PROXY || process.env.https_proxy) && !process.allowedNodeEnvironmentFlags.has('--use-env-proxy')
  const signal = AbortSignal.timeout(300_000)
  for (let attempt = 1; ; attempt++) {
    try {
      const content = gunzipSync(await get(new URL(url), wanted.size, signal), { maxOutputLength: wanted.size })
      if (sha256(content) === wanted.sha256) return content
      throw new Error(`its SHA-256 is ${sha256(content)}, that of release ${release.version} is ${wanted.sha256}`)
    } catch (err) {
      const why = (clearer[err.code] ?? (err.message || err.code)) + (unheeded ? ` (Node.js ${process.version} does not heed HTTPS_PROXY)` : '')
      if (attempt === 3) throw new Error(`the program cannot be had from ${url}: ${why}; where there is no way to it, name a program with ${variable}`)
      await setTimeout(attempt * 1000)
    }
  }
}

// get is what lies at url, or where that leads, if it is not larger than limit.
async function get(url, limit, signal, redirects = 5) {
  const { request, Agent } = require(url.protocol === 'https:' ? 'node:https' : 'node:http')
  const sent = request(url, { agent: new Agent({ proxyEnv: process.env }), signal, timeout: 30_000 })
  sent.on('timeout', () => sent.destroy()).on('error', () => {}) // once and the response have the error too
  const [response] = await once(sent.end(), 'response')
  const { statusCode, headers: { location } } = response
  if (statusCode !== 200) response.destroy()
  if (location && redirects > 0) return get(new URL(location, url), limit, signal, redirects - 1)
  if (statusCode !== 200) throw new Error(`the answer of ${url.host} is ${statusCode}`)
  const chunks = []
  for await (const chunk of response) {
    if ((limit -= chunk.length) < 0) throw new Error(clearer.ERR_BUFFER_TOO_LARGE)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

// become hands the process over to the program, or, on Windows and on Node.js 20, waits for it.
function become(file, args) {
  // Its warning that this is experimental would be written later, and so never is.
  if (process.execve && process.platform !== 'win32') process.execve(file, [file, ...args], process.env)
  const child = spawn(file, args, { stdio: 'inherit' })
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGBREAK']) {
    // A console of Windows gives Ctrl-C to both, and nothing else can be sent there but an end by force.
    process.on(name, () => process.platform === 'win32' || child.kill(name))
  }
  child.on('error', fail)
  child.on('exit', (code, name) => {
    if (!name) process.exit(code)
    process.removeAllListeners(name)
    process.kill(process.pid, name)
  })
}

// fail ends the step with an error that the runner shows: 2 is the program's own code for what is wrong before there is a Job.
function fail(err) {
  fs.writeSync(2, `::error title=Kubernetes Job::${err.message.replace(/[%\r\n]/g, encodeURIComponent)}\n`)
  process.exit(2)
}

const launch = (...args) => find().then((file) => become(file, args)).catch(fail)

module.exports = { find, launch, fail, program }
if (require.main === module) launch()
