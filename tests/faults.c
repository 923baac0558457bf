// Preloaded into a program under test: a disk that loses power, fills up, turns read-only or is slow; a kernel that does not
// tell of new files; a clock that jumps. Switched by environment variables:
//
//   FAULT_ROOT      folder that the following concern
//   FAULT_SHADOW    folder that receives what a power cut would leave: contents and listings as of their last fsync
//   FAULT_ERRNO     file; while it exists, writing below FAULT_ROOT fails with the error number that it holds
//   FAULT_SLOW_MS   opening and listing below FAULT_ROOT take so long
//   FAULT_BLIND     set: no message about changed folders ever comes
//   FAULT_CLOCK     file that holds how many seconds the wall clock is ahead
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int below_root(const char* path) {
  const char* root = getenv("FAULT_ROOT");
  return root != NULL && path != NULL && strncmp(path, root, strlen(root)) == 0;
}

static int path_of(int file, char* path, size_t size) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  const ssize_t n = readlink(link, path, size - 1);
  if (n < 0) return 0;
  path[n] = 0;
  return 1;
}

// ---- power ----

static void copy_file(int from, const char* to) {
  char temporary[4400], block[65536];
  snprintf(temporary, sizeof temporary, "%s.%d.tmp", to, (int)getpid());
  const int out = REAL(open)(temporary, O_CREAT | O_TRUNC | O_WRONLY, 0600);
  if (out < 0) return;
  ssize_t n = 0;
  for (off_t at = 0; (n = pread(from, block, sizeof block, at)) > 0; at += n)
    if (REAL(write)(out, block, (size_t)n) != n) break;
  close(out);
  rename(temporary, to);
}

/// Keeps what is durable from now on: bytes of a file, or names of a folder with the numbers of their files.
static void keep(int file) {
  const char* shadow = getenv("FAULT_SHADOW");
  struct stat info;
  char path[4096], to[4200], temporary[4300];
  if (shadow == NULL || fstat(file, &info) != 0 || !path_of(file, path, sizeof path) || !below_root(path)) return;
  snprintf(to, sizeof to, "%s/%c%llu", shadow, S_ISREG(info.st_mode) ? 'f' : 'd', (unsigned long long)info.st_ino);
  if (S_ISREG(info.st_mode)) {
    const int again = REAL(open)(path, O_RDONLY | O_CLOEXEC);  // it may have been opened for writing only
    if (again >= 0) copy_file(again, to), close(again);
    return;
  }
  snprintf(temporary, sizeof temporary, "%s.%d.tmp", to, (int)getpid());
  DIR* folder = opendir(path);
  FILE* out = fopen(temporary, "w");
  if (folder != NULL && out != NULL)
    for (struct dirent* entry; (entry = readdir(folder)) != NULL;)
      if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
        char link[4096] = "", full[4400];
        snprintf(full, sizeof full, "%s/%s", path, entry->d_name);
        const ssize_t n = entry->d_type == DT_LNK ? readlink(full, link, sizeof link - 1) : 0;
        link[n > 0 ? n : 0] = 0;
        fprintf(out, "%c\t%llu\t%s\t%s\n", entry->d_type == DT_DIR ? 'd' : entry->d_type == DT_LNK ? 'l' : 'f', (unsigned long long)entry->d_ino, entry->d_name, link);
      }
  if (folder != NULL) closedir(folder);
  if (out != NULL) fclose(out), rename(temporary, to);
}

int fsync(int file) {
  const int result = REAL(fsync)(file);
  if (result == 0) keep(file);
  return result;
}
int fdatasync(int file) {
  const int result = REAL(fdatasync)(file);
  if (result == 0) keep(file);
  return result;
}

// ---- disks that refuse or are slow ----

static int refusal(void) {
  const char* name = getenv("FAULT_ERRNO");
  if (name == NULL) return 0;
  const int file = REAL(open)(name, O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  char text[16] = "";
  const ssize_t n = read(file, text, sizeof text - 1);
  close(file);
  return n > 0 ? atoi(text) : 0;
}

static int refuses_file(int file) {
  char path[4096];
  const int error = getenv("FAULT_ERRNO") != NULL && path_of(file, path, sizeof path) && below_root(path) ? refusal() : 0;
  if (error != 0) errno = error;
  return error != 0;
}
static int refuses_path(const char* path) {
  const int error = getenv("FAULT_ERRNO") != NULL && below_root(path) ? refusal() : 0;
  if (error != 0) errno = error;
  return error != 0;
}
static void delay(const char* path) {
  const char* ms = getenv("FAULT_SLOW_MS");
  if (ms != NULL && below_root(path)) usleep((useconds_t)atoi(ms) * 1000);
}

ssize_t write(int file, const void* data, size_t size) { return refuses_file(file) ? -1 : REAL(write)(file, data, size); }
ssize_t pwrite(int file, const void* data, size_t size, off_t at) { return refuses_file(file) ? -1 : REAL(pwrite)(file, data, size, at); }
ssize_t pwrite64(int file, const void* data, size_t size, off64_t at) { return refuses_file(file) ? -1 : REAL(pwrite64)(file, data, size, at); }
int mkdir(const char* path, mode_t mode) { return refuses_path(path) ? -1 : REAL(mkdir)(path, mode); }
int rename(const char* from, const char* to) { return refuses_path(to) ? -1 : REAL(rename)(from, to); }

static int open_with(int (*real)(const char*, int, ...), const char* path, int flags, mode_t mode) {
  delay(path);
  if ((flags & (O_CREAT | O_WRONLY | O_RDWR)) != 0 && refuses_path(path)) return -1;
  return real(path, flags, mode);
}
int open(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = (flags & (O_CREAT | __O_TMPFILE)) != 0 ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return open_with(REAL(open), path, flags, mode);
}
int open64(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = (flags & (O_CREAT | __O_TMPFILE)) != 0 ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return open_with(REAL(open64), path, flags, mode);
}

// ---- kernel and clock ----

int inotify_add_watch(int file, const char* path, uint32_t mask) {
  if (getenv("FAULT_BLIND") != NULL) return 1;  // agrees, and is silent ever after
  return ((int (*)(int, const char*, uint32_t))dlsym(RTLD_NEXT, "inotify_add_watch"))(file, path, mask);
}

int clock_gettime(clockid_t clock, struct timespec* time) {
  const int result = REAL(clock_gettime)(clock, time);
  const char* name = getenv("FAULT_CLOCK");
  if (result != 0 || clock != CLOCK_REALTIME || name == NULL) return result;
  const int file = REAL(open)(name, O_RDONLY | O_CLOEXEC);
  if (file < 0) return result;
  char text[32] = "";
  const ssize_t n = read(file, text, sizeof text - 1);
  close(file);
  if (n > 0) time->tv_sec += atol(text);
  return result;
}
