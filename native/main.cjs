'use strict'
// The launcher of the native action: it finds the program and becomes it. It has no dependencies, and writes nothing unless it fails.

const fs = require('node:fs')
const path = require('node:path')
const { spawn, spawnSync } = require('node:child_process')
const { createHash, randomUUID } = require('node:crypto')
const { pipeline } = require('node:stream/promises')
const { setTimeout } = require('node:timers/promises')

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
  if (!folders.length) throw new Error('there is no place to keep the program: neither RUNNER_TOOL_CACHE nor RUNNER_TEMP is set, as they are on GitHub\'s runner')
  const files = folders.map((folder) => path.join(folder, 'kubernetes-job-action', release.version, process.arch, program))
  const kept = files.find((file) => intact(file, wanted))
  if (kept) return kept
  const content = await download(wanted)
  const problems = []
  for (const file of files) {
    try { return keep(file, content, wanted) } catch (err) { problems.push(err.message) }
  }
  throw new Error(`there is no place to keep the program: ${problems.join('; ')}`)
}

// checked is the user's own program. Its content is the user's business, but a failed execve would abort Node.js.
function checked(own) {
  if (!path.isAbsolute(own)) throw new Error(`${variable} is ${JSON.stringify(own)}, and must be an absolute path`)
  const { error, signal, status, stdout } = spawnSync(own, ['version'], { encoding: 'utf8', timeout: 30_000 })
  if (error || status !== 0 || !stdout.trim()) throw new Error(`${own}, which ${variable} names, cannot be used: its command "version" ${error ? `fails: ${error.code}` : `ends with ${signal ?? `code ${status}`}`}; is it kubernetes-job-action for ${process.platform}-${process.arch}, and executable?`)
  return own
}

const sha256 = (content) => createHash('sha256').update(content).digest('hex')

function intact(file, wanted) {
  try {
    fs.accessSync(file, fs.constants.X_OK)
    return fs.statSync(file).size === wanted.size && sha256(fs.readFileSync(file)) === wanted.sha256
  } catch {
    return false
  }
}

// keep renames the file when it is complete: nobody finds half of it, and of two that do it at the same time either is right.
function keep(file, content, wanted) {
  fs.mkdirSync(path.dirname(file), { recursive: true })
  const fresh = `${file}.${randomUUID()}`
  try {
    fs.writeFileSync(fresh, content, { mode: 0o755 })
    fs.renameSync(fresh, file)
  } catch (err) {
    fs.rmSync(fresh, { force: true })
    if (!intact(file, wanted)) throw err // on Windows, a program that runs cannot be replaced
  }
  fs.accessSync(file, fs.constants.X_OK) // the file system may be mounted without
  return file
}

// final is an error that another try would meet again.
const final = (message) => Object.assign(new Error(message), { final: true })

async function download(wanted) {
  const url = `${release.url}/${wanted.file}`
  for (let attempt = 1; ; attempt++) {
    try {
      return await fetched(url, wanted)
    } catch (err) {
      if (err.final || attempt === 3) throw new Error(`the program cannot be had from ${url}: ${err.message || err.code}; where there is no way to it, name a program with ${variable}`)
      await setTimeout(attempt * 1000)
    }
  }
}

// fetched is the inflated content. It stays in memory until it is known to be right.
async function fetched(url, wanted) {
  const signal = AbortSignal.timeout(300_000)
  const response = await open(new URL(url), signal, 5)
  const atMost = async function* (chunks) {
    let size = 0
    for await (const chunk of chunks) {
      if ((size += chunk.length) > wanted.size) throw final(`it is larger than the ${wanted.size} bytes of release ${release.version}`)
      yield chunk
    }
  }
  const hash = createHash('sha256')
  const content = []
  await pipeline(response, atMost, require('node:zlib').createGunzip(), atMost, async (chunks) => {
    for await (const chunk of chunks) {
      hash.update(chunk)
      content.push(chunk)
    }
  }, { signal })
  const got = hash.digest('hex')
  if (got !== wanted.sha256) throw final(`its SHA-256 is ${got}, that of release ${release.version} is ${wanted.sha256}`)
  return Buffer.concat(content)
}

// open follows redirects. The variables of proxies count from Node.js 24.5 on.
function open(url, signal, redirects) {
  const { get, Agent } = require(url.protocol === 'https:' ? 'node:https' : 'node:http')
  return new Promise((resolve, reject) => {
    const request = get(url, { agent: new Agent({ proxyEnv: process.env }), signal, timeout: 30_000 }, (response) => {
      const { statusCode, headers: { location } } = response
      if (statusCode === 200) return resolve(response)
      response.resume()
      if (location && redirects > 0) return resolve(open(new URL(location, url), signal, redirects - 1))
      reject(Object.assign(new Error(`the answer of ${url.host} is ${statusCode}`), { final: statusCode < 500 && statusCode !== 429 }))
    })
    request.on('timeout', () => request.destroy(new Error('nothing has arrived for 30 s')))
    request.on('error', reject)
  })
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
