// The processes of an installation, as things that can be killed, frozen and found again.
import fs from 'node:fs';
import { stack, until } from './stack.mjs';

const postmaster = () => Number(fs.readFileSync(`${fs.realpathSync(`${stack.folder}/pg-data`)}/postmaster.pid`, 'utf8').split('\n')[0]);

/** name -> () => pid, or a falsy value or an exception while there is none. */
export const victims = {
  gateway: () => stack.pid('gateway'),
  worker: () => stack.workerPids()[0],
  billing: () => stack.pid('billing'),
  postgres: postmaster,
  scheduler: () => stack.pid('scheduler'),
  redis: () => stack.pid('redis'),
};

/** Of a process that lives: a pid file may still name one that ended. */
export const pidOf = (name) => until(`${name}'s pid`, 30, () => {
  const pid = victims[name]();
  return pid && kill(pid, 0) && pid;
});

/** kill -9 unless another signal is named; false when it was gone already. */
export function kill(pid, signal = 'SIGKILL') {
  try {
    process.kill(pid, signal);
    return true;
  } catch (error) {
    if (error.code === 'ESRCH') return false;
    throw error;
  }
}

export const reborn = (name, pid) => until(`${name} to be another process`, 60, () => {
  const now = victims[name]();
  return now && now !== pid;
});

/** `pid` and everything it started, parents first. */
export function family(pid) {
  const children = fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
  return [pid, ...(children === '' ? [] : children.split(' ').flatMap((child) => {
    try {
      return family(Number(child));
    } catch {
      return []; // it ended meanwhile
    }
  }))];
}
