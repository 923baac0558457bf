#include "frazil/base/process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>

#include "frazil/base/error.hpp"

extern char** environ;  // NOLINT: POSIX

namespace frazil {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::size_t kept_bytes = 65536;
std::atomic<int> programs_peak_mib = 0;

/// What the guardian tells of the program's end.
struct Ending {
  int status = 0, error = 0;
  long peak_kib = 0;
};

/// Everything the processes after fork need, made before: between fork and exec nothing may be allocated.
struct Prepared {
  std::vector<std::string> texts, environment_texts;
  std::vector<char*> arguments, environment;
  std::string folder;
  int output = -1, ending = -1, input = -1;
};

void end_group(int) { ::kill(0, SIGKILL); }

[[noreturn]] void be_program(const Prepared& prepared) {
  ::signal(SIGTERM, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::dup2(prepared.input, 0);
  ::dup2(prepared.output, 1);
  ::dup2(prepared.output, 2);
  Ending failure;
  if (prepared.folder.empty() || ::chdir(prepared.folder.c_str()) == 0)
    ::execve(prepared.arguments[0], prepared.arguments.data(), prepared.environment.data());
  failure.error = errno;
  (void)!::write(prepared.ending, &failure, sizeof(failure));
  ::_exit(127);
}

/// Waits for the program; when the process that wanted it dies, so does the whole group.
[[noreturn]] void be_guardian(const Prepared& prepared, pid_t parent) {
  ::setpgid(0, 0);
  ::signal(SIGTERM, end_group);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  ::sigprocmask(SIG_UNBLOCK, &set, nullptr);
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (::getppid() != parent) ::_exit(1);
  const pid_t program = ::fork();
  if (program == 0) be_program(prepared);
  Ending ending;
  if (program < 0) {
    ending.error = errno;
  } else {
    while (::waitpid(program, &ending.status, 0) < 0 && errno == EINTR) {
    }
    rusage usage{};
    ::getrusage(RUSAGE_CHILDREN, &usage);
    ending.peak_kib = usage.ru_maxrss;
  }
  (void)!::write(prepared.ending, &ending, sizeof(ending));
  ::_exit(0);
}

class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int file) : file_(file) {}
  ~Descriptor() { reset(); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  void take(int file) {
    reset();
    file_ = file;
  }
  void reset() {
    if (file_ >= 0) ::close(file_);
    file_ = -1;
  }
  [[nodiscard]] int get() const { return file_; }

 private:
  int file_ = -1;
};

void make_pipe(Descriptor& read_end, Descriptor& write_end) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0)
    throw Error(ErrorCode::resource, "a pipe to another program cannot be made: {}", std::strerror(errno));
  read_end.take(ends[0]);
  write_end.take(ends[1]);
}

void fill(Prepared& prepared, const Command& command, const std::filesystem::path& program) {
  prepared.texts = command.arguments;
  prepared.texts.front() = program.string();
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const auto name = text.substr(0, text.find('='));
    bool replaced = false;
    for (const auto& [key, value] : command.environment) replaced = replaced || key == name;
    if (!replaced) prepared.environment_texts.emplace_back(text);
  }
  for (const auto& [key, value] : command.environment) prepared.environment_texts.push_back(key + "=" + value);
  for (auto& text : prepared.texts) prepared.arguments.push_back(text.data());
  for (auto& text : prepared.environment_texts) prepared.environment.push_back(text.data());
  prepared.arguments.push_back(nullptr);
  prepared.environment.push_back(nullptr);
  prepared.folder = command.folder.string();
}

/// Collects output until the guardian reports the end. @return false when the time limit came first
bool follow(const Command& command, int output, int ending_file, Ending& ending, std::string& text) {
  const auto start = Clock::now();
  std::array<char, 16384> chunk;
  bool output_open = true;
  while (true) {
    pollfd files[2] = {{ending_file, POLLIN, 0}, {output, POLLIN, 0}};
    ::poll(files, output_open ? 2 : 1, 50);
    if (output_open && (files[1].revents & (POLLIN | POLLHUP)) != 0) {
      const auto n = ::read(output, chunk.data(), chunk.size());
      if (n > 0)
        text.append(chunk.data(), static_cast<std::size_t>(n));
      else
        output_open = n < 0 && errno == EINTR;
      if (text.size() > 2 * kept_bytes) text.erase(0, text.size() - kept_bytes);
      continue;
    }
    if ((files[0].revents & (POLLIN | POLLHUP)) != 0) {
      Ending next;
      while (::read(ending_file, &next, sizeof(next)) == sizeof(next) && ending.error == 0)
        ending = next;  // a failed exec is told first
      return true;
    }
    if (command.poll) command.poll();
    if (command.time_limit_s > 0 && std::chrono::duration<double>(Clock::now() - start).count() > command.time_limit_s)
      return false;
  }
}

}  // namespace

std::string Finished::how() const {
  if (timed_out) return fmt::format("not finished after {:.0f} s", seconds);
  if (signal != 0) return fmt::format("killed by signal {} ({})", signal, ::strsignal(signal));
  return fmt::format("exit code {}", code);
}

std::string Finished::last_lines(std::size_t count) const {
  auto end = output.find_last_not_of(" \t\r\n");
  if (end == std::string::npos) return {};
  auto begin = ++end;
  for (std::size_t lines = 0; begin > 0; --begin)
    if (output[begin - 1] == '\n' && ++lines == count) break;
  return output.substr(begin, end - begin);
}

std::string host_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "localhost";
}

std::optional<std::filesystem::path> find_program(const std::string& name) {
  if (name.empty()) return std::nullopt;
  const auto can_run = [](const std::filesystem::path& path) {
    return std::filesystem::is_regular_file(path) && ::access(path.c_str(), X_OK) == 0;
  };
  if (name.find('/') != std::string::npos)
    return can_run(name) ? std::optional(std::filesystem::absolute(name)) : std::nullopt;
  const char* path = std::getenv("PATH");
  std::string rest = path == nullptr ? "/usr/local/bin:/usr/bin:/bin" : path;
  while (true) {
    const auto colon = rest.find(':');
    const auto folder = rest.substr(0, colon);
    if (const auto candidate = std::filesystem::path(folder.empty() ? "." : folder) / name; can_run(candidate))
      return std::filesystem::absolute(candidate);
    if (colon == std::string::npos) return std::nullopt;
    rest = rest.substr(colon + 1);
  }
}

int take_programs_peak_mib() { return programs_peak_mib.exchange(0); }

Finished run_program(const Command& command) {
  expect(!command.arguments.empty(), "a command has a program");
  const auto program = find_program(command.arguments.front());
  if (!program)
    throw Error(ErrorCode::not_found,
                "{}: there is no such program on this machine; install it or put its folder into PATH",
                command.arguments.front());
  Prepared prepared;
  fill(prepared, command, *program);
  Descriptor output_read, output_write, ending_read, ending_write, input_read, input_write;
  make_pipe(output_read, output_write);
  make_pipe(ending_read, ending_write);
  make_pipe(input_read, input_write);
  (void)!::write(input_write.get(), command.input.data(), std::min(command.input.size(), kept_bytes));
  input_write.reset();
  prepared.output = output_write.get();
  prepared.ending = ending_write.get();
  prepared.input = input_read.get();

  const auto start = Clock::now();
  const pid_t self = ::getpid();
  const pid_t guardian = ::fork();
  if (guardian < 0)
    throw Error(ErrorCode::resource, "{}: no process can be made: {}", command.arguments.front(), std::strerror(errno));
  if (guardian == 0) be_guardian(prepared, self);
  ::setpgid(guardian, guardian);
  output_write.reset();
  ending_write.reset();
  const auto end_all = [&] {
    ::kill(-guardian, SIGKILL);
    while (::waitpid(guardian, nullptr, 0) < 0 && errno == EINTR) {
    }
  };
  Finished finished;
  Ending ending;
  try {
    finished.timed_out = !follow(command, output_read.get(), ending_read.get(), ending, finished.output);
  } catch (...) {
    end_all();
    throw;
  }
  end_all();
  if (ending.error != 0)
    throw Error(ErrorCode::not_found, "{}: cannot be run{}: {}", program->string(),
                command.folder.empty() ? "" : " in " + command.folder.string(), std::strerror(ending.error));
  finished.seconds = std::chrono::duration<double>(Clock::now() - start).count();
  finished.peak_mib = static_cast<int>(ending.peak_kib / 1024);
  for (int seen = programs_peak_mib;
       finished.peak_mib > seen && !programs_peak_mib.compare_exchange_weak(seen, finished.peak_mib);) {
  }
  if (finished.timed_out) return finished;
  if (WIFEXITED(ending.status)) finished.code = WEXITSTATUS(ending.status);
  if (WIFSIGNALED(ending.status)) finished.signal = WTERMSIG(ending.status);
  return finished;
}

}  // namespace frazil
