// Help for tests that run other programs; absent ones are skipped.
#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <string>

namespace frazil::io {

struct Outcome {
  int code = -1;
  std::string output;
};

inline Outcome shell(const std::string& command) {
  Outcome outcome;
  std::FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return outcome;
  std::array<char, 4096> buffer;
  while (const auto got = std::fread(buffer.data(), 1, buffer.size(), pipe)) outcome.output.append(buffer.data(), got);
  const int status = ::pclose(pipe);
  outcome.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return outcome;
}

inline bool has_program(const std::string& name) { return shell("command -v " + name).code == 0; }
inline bool has_python(const std::string& module) {
  return shell("/usr/bin/python3 -c 'import " + module + "'").code == 0;
}

#define NEEDS(condition, what) \
  if (!(condition)) GTEST_SKIP() << what << " is not installed: this check needs it"

}  // namespace frazil::io
