// The control socket and clients that behave badly: each harms itself only.
#include "frazil/engine/control.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <condition_variable>
#include <vector>

#include "frazil/base/files.hpp"

namespace frazil::engine {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

/// A connection that is used by hand.
class Raw {
 public:
  explicit Raw(const std::filesystem::path& path) : file_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.string().copy(address.sun_path, sizeof(address.sun_path) - 1);
    if (::connect(file_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) file_ = -1;
    const timeval patience{5, 0};
    ::setsockopt(file_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  }
  ~Raw() { ::close(file_); }
  Raw(const Raw&) = delete;
  Raw& operator=(const Raw&) = delete;
  bool say(std::string_view text) const {
    return ::send(file_, text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
  }
  /// Up to the end of the line, or of the connection.
  [[nodiscard]] std::string hear() const {
    std::string text;
    char c = 0;
    while (::recv(file_, &c, 1, 0) == 1 && c != '\n') text += c;
    return text;
  }

 private:
  int file_;
};

class ControlTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / fmt::format("frazil-control-{}", ::getpid());
    make_folders(folder_);
    limits_.unread = 500ms;
    limits_.look_after = 100ms;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  /// Repeats what it is told, or tells a lot.
  static void serve(const Json& request, const ControlServer::Write& write) {
    if (request.contains("much")) {
      const std::string piece(1 << 16, 'x');
      write("{\"text\":\"");
      for (int i = 0; i < request["much"].get<int>(); ++i) write(piece);
      write("\"}\n");
    } else {
      write(Json({{"ok", true}, {"said", request}}).dump() + "\n");
    }
  }
  [[nodiscard]] std::filesystem::path path() const { return folder_ / "a.sock"; }
  [[nodiscard]] double seconds_for_an_answer() const {
    const auto start = Clock::now();
    const auto answer = send_request(path(), {{"command", "status"}});
    EXPECT_TRUE(answer && answer->at("ok") == true);
    return std::chrono::duration<double>(Clock::now() - start).count();
  }

  std::filesystem::path folder_;
  ControlServer::Limits limits_;
};

TEST_F(ControlTest, AnswersManyLinesOfOneClientInOrder) {
  const ControlServer server(path(), serve, limits_);
  const Raw client(path());
  ASSERT_TRUE(client.say("{\"n\":1}\n{\"n\":2}\nnonsense\n{\"n\":3}\n"));
  EXPECT_NE(client.hear().find("\"n\":1"), std::string::npos);
  EXPECT_NE(client.hear().find("\"n\":2"), std::string::npos);
  EXPECT_NE(client.hear().find("one line with a JSON object"), std::string::npos);
  EXPECT_NE(client.hear().find("\"n\":3"), std::string::npos);
}

TEST_F(ControlTest, AClientThatStopsReadingKeepsNobodyWaitingAndHasToGo) {
  const ControlServer server(path(), serve, limits_);
  const Raw stopped(path());
  ASSERT_TRUE(stopped.say("{\"much\":1000}\n"));  // 64 MB, of which it reads nothing
  std::this_thread::sleep_for(50ms);
  for (int i = 0; i < 5; ++i) EXPECT_LT(seconds_for_an_answer(), 0.4);
  std::this_thread::sleep_for(1500ms);
  EXPECT_LT(stopped.hear().size(), 4u << 20) << "what was on its way, then the end";
}

TEST_F(ControlTest, HalfALineWaitsByItself) {
  const ControlServer server(path(), serve, limits_);
  const Raw slow(path());
  ASSERT_TRUE(slow.say("{\"comm"));
  for (int i = 0; i < 5; ++i) EXPECT_LT(seconds_for_an_answer(), 0.4);
  ASSERT_TRUE(slow.say("and\":1}\n"));
  EXPECT_NE(slow.hear().find("\"command\":1"), std::string::npos);
}

TEST_F(ControlTest, ARequestWithoutEndIsRefused) {
  limits_.request_bytes = 10000;
  const ControlServer server(path(), serve, limits_);
  const Raw client(path());
  const std::string piece(5000, '{');
  for (int i = 0; i < 10 && client.say(piece); ++i) {
  }
  EXPECT_NE(client.hear().find("at most"), std::string::npos);
  EXPECT_TRUE(client.hear().empty()) << "the connection has ended";
  EXPECT_LT(seconds_for_an_answer(), 0.4);
}

TEST_F(ControlTest, WhenThereAreTooManyTheSilentOnesGo) {
  limits_.clients = 8;
  const ControlServer server(path(), serve, limits_);
  std::vector<std::unique_ptr<Raw>> silent;
  for (int i = 0; i < 30; ++i) silent.push_back(std::make_unique<Raw>(path()));
  std::this_thread::sleep_for(300ms);
  for (int i = 0; i < 3; ++i) EXPECT_LT(seconds_for_an_answer(), 0.4);
}

TEST_F(ControlTest, ASocketThatVanishedIsMadeAnew) {
  const ControlServer server(path(), serve, limits_);
  std::filesystem::remove_all(folder_);  // as at the end of a login session
  EXPECT_FALSE(send_request(path(), {{"command", "status"}}));
  std::this_thread::sleep_for(500ms);
  EXPECT_LT(seconds_for_an_answer(), 0.4);
}

TEST_F(ControlTest, ALateEndLeavesTheNameOfItsSuccessor) {
  auto first = std::make_unique<ControlServer>(path(), serve, ControlServer::Limits{});
  const ControlServer second(path(), serve, limits_);
  first.reset();
  EXPECT_LT(seconds_for_an_answer(), 0.4);
}

TEST_F(ControlTest, EndsThoughClientsAreThere) {
  auto server = std::make_unique<ControlServer>(path(), serve, limits_);
  const Raw silent(path()), half(path()), stopped(path());
  ASSERT_TRUE(half.say("{\"a\""));
  ASSERT_TRUE(stopped.say("{\"much\":1000}\n"));
  std::this_thread::sleep_for(50ms);
  const auto start = Clock::now();
  server.reset();
  EXPECT_LT(Clock::now() - start, 4s);
  EXPECT_FALSE(std::filesystem::exists(path()));
}

TEST_F(ControlTest, AnEngineThatHangsDoesNotHangItsClients) {
  std::mutex mutex;
  std::condition_variable let_go;
  bool free = false;
  const ControlServer server(
      path(),
      [&](const Json&, const ControlServer::Write&) {
        std::unique_lock lock(mutex);
        let_go.wait(lock, [&] { return free; });
      },
      limits_);
  const auto start = Clock::now();
  EXPECT_THROW((void)send_request(path(), {{"command", "status"}}, 0.3), Error);
  EXPECT_LT(Clock::now() - start, 3s);
  const std::lock_guard lock(mutex);
  free = true;
  let_go.notify_all();
}

}  // namespace
}  // namespace frazil::engine
