// The hub among peers that are not as they should be.
#include "frazil/exec/hub.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <thread>

#include "frazil/base/error.hpp"
#include "frazil/base/files.hpp"
#include "frazil/exec/hub_jobs.hpp"
#include "frazil/exec/hub_match.hpp"
#include "frazil/exec/hub_peers.hpp"
#include "frazil/exec/messages.hpp"

namespace frazil::exec {
namespace {

using Clock = std::chrono::steady_clock;

Task task(std::uint64_t number, const std::string& seed = "seed") {
  Task made;
  made.number = number;
  made.reference = "steps/a/b";
  made.seed = seed;
  return made;
}

Result result(std::uint64_t number) {
  Result made;
  made.number = number;
  return made;
}

/// The next whole frame, none when the other side has hung up or a time has passed.
std::optional<std::string> receive(int socket, FrameReader& reader, int limit_ms = 10000) {
  while (true) {
    if (auto text = reader.next()) return text;
    pollfd file{socket, POLLIN, 0};
    if (::poll(&file, 1, limit_ms) != 1 || reader.fill(socket, true) == FrameReader::Status::closed)
      return std::nullopt;
  }
}

/// Serves in a thread. Whoever says the right word is welcome, and has his messages sent back.
class PeersTest : public ::testing::Test {
 protected:
  PeersTest()
      : peers_("127.0.0.1", 0, {1000, 0.5, 8, 0.5},
               {[this](int peer, const std::string& text) { return take(peer, text); },
                [this](int, const std::string& why) { gone_.push_back(why); }}),
        thread_([this](const std::stop_token& stop) {
          while (!stop.stop_requested()) {
            peers_.wait(50);
            const std::lock_guard lock(mutex_);
            peers_.serve();
          }
        }) {}
  ~PeersTest() override {
    thread_.request_stop();
    thread_.join();
    for (const int socket : sockets_) ::close(socket);
  }
  bool take(int peer, const std::string& text) {
    if (text == "wrong") return false;
    if (text == "flood") {
      for (int i = 0; i < 64; ++i) peers_.send(peer, std::string(1 << 20, 'x'));
      return true;
    }
    if (text == "word") peers_.welcome(peer);
    peers_.send(peer, text);
    return true;
  }
  int connect() {
    const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<std::uint16_t>(peers_.port()));
    EXPECT_EQ(::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
    sockets_.push_back(socket);
    return socket;
  }
  /// A peer that has been welcomed is served as long as this holds.
  void expect_served() {
    const int socket = connect();
    FrameReader reader;
    for (const auto* word : {"word", "more"}) {
      EXPECT_TRUE(send_frame(socket, word));
      EXPECT_EQ(receive(socket, reader), word);
    }
  }
  static bool is_hung_up_on(int socket, int limit_ms) {
    pollfd file{socket, POLLIN, 0};
    char byte = 0;
    return ::poll(&file, 1, limit_ms) == 1 && ::recv(socket, &byte, 1, 0) <= 0;
  }

  std::mutex mutex_;
  std::vector<std::string> gone_;
  std::vector<int> sockets_;
  Peers peers_;
  std::jthread thread_;
};

TEST_F(PeersTest, WhoIsSilentIsHungUpOnAfterAWhile) {
  const int socket = connect();
  EXPECT_TRUE(is_hung_up_on(socket, 3000));
  expect_served();
}

TEST_F(PeersTest, WhoSaysTheWrongWordIsHungUpOnAtOnce) {
  const int socket = connect();
  ASSERT_TRUE(send_frame(socket, "wrong"));
  EXPECT_TRUE(is_hung_up_on(socket, 300));
  expect_served();
}

TEST_F(PeersTest, AStrangersLongMessageIsNotTaken) {
  const int socket = connect();
  ASSERT_TRUE(send_frame(socket, std::string(900, 'x')));
  FrameReader reader;
  EXPECT_TRUE(receive(socket, reader).has_value());
  std::uint32_t length = 1u << 30;
  ASSERT_EQ(::send(socket, &length, 4, MSG_NOSIGNAL), 4);
  EXPECT_TRUE(is_hung_up_on(socket, 300)) << "the announcement is enough";
  expect_served();
}

TEST_F(PeersTest, GarbageHarmsItsSenderOnly) {
  const int socket = connect();
  const std::string garbage(5000, '\xff');
  (void)::send(socket, garbage.data(), garbage.size(), MSG_NOSIGNAL);
  EXPECT_TRUE(is_hung_up_on(socket, 300));
  expect_served();
}

TEST_F(PeersTest, AMessageMayComeInPieces) {
  const int socket = connect();
  const std::string word("\4\0\0\0word", 8);
  for (const char byte : word) {
    ASSERT_EQ(::send(socket, &byte, 1, MSG_NOSIGNAL), 1);
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  FrameReader reader;
  EXPECT_EQ(receive(socket, reader), "word");
}

TEST_F(PeersTest, WhoEndsInTheMiddleOfAMessageIsHungUpOn) {
  const int socket = connect();
  FrameReader reader;
  ASSERT_TRUE(send_frame(socket, "word"));
  EXPECT_EQ(receive(socket, reader), "word");
  ASSERT_EQ(::send(socket, "\10\0\0\0half", 8, MSG_NOSIGNAL), 8);
  EXPECT_TRUE(is_hung_up_on(socket, 3000));
  const std::lock_guard lock(mutex_);
  ASSERT_EQ(gone_.size(), 1u);
  EXPECT_NE(gone_[0].find("middle of a message"), std::string::npos);
}

TEST_F(PeersTest, WhoDoesNotReadHoldsUpNobody) {
  const int socket = connect();
  FrameReader reader;
  ASSERT_TRUE(send_frame(socket, "word"));
  EXPECT_EQ(receive(socket, reader), "word");
  ASSERT_TRUE(send_frame(socket, "flood"));
  const auto start = Clock::now();
  expect_served();
  EXPECT_LT(Clock::now() - start, std::chrono::milliseconds(700));
  for (int i = 0; i < 300; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    const std::lock_guard lock(mutex_);
    if (!gone_.empty()) break;
  }
  const std::lock_guard lock(mutex_);
  EXPECT_EQ(gone_.size(), 1u) << "who takes nothing for long is hung up on";
}

TEST_F(PeersTest, WhoHungUpIsToldOfOnceAndStrangersAreNot) {
  ::shutdown(connect(), SHUT_RDWR);
  const int socket = connect();
  FrameReader reader;
  ASSERT_TRUE(send_frame(socket, "word"));
  EXPECT_EQ(receive(socket, reader), "word");
  ::shutdown(socket, SHUT_RDWR);
  for (int i = 0; i < 100; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    const std::lock_guard lock(mutex_);
    if (peers_.count() == 0) break;
  }
  const std::lock_guard lock(mutex_);
  EXPECT_EQ(gone_.size(), 1u);
}

TEST_F(PeersTest, StrangersAreFew) {
  std::vector<int> sockets;
  for (int i = 0; i < 20; ++i) sockets.push_back(connect());
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  const std::lock_guard lock(mutex_);
  EXPECT_LE(peers_.count(), 8u);
}

TEST(Peers, ListensAtTheAddressGivenAndNoOther) {
  const Peers::Handlers none{[](int, const std::string&) { return false; }, [](int, const std::string&) {}};
  const Peers peers("127.0.0.2", 0, {}, none);
  const auto can_connect = [&](const char* host) {
    const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    ::inet_pton(AF_INET, host, &address.sin_addr);
    address.sin_port = htons(static_cast<std::uint16_t>(peers.port()));
    const bool can = ::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
    ::close(socket);
    return can;
  };
  EXPECT_TRUE(can_connect("127.0.0.2"));
  EXPECT_FALSE(can_connect("127.0.0.1"));
  EXPECT_THROW(Peers("192.0.2.1", 0, {}, none), Error) << "no interface of this machine";
}

/// What is sent to whom.
class MatchingTest : public ::testing::Test {
 protected:
  std::vector<std::pair<int, std::string>> sent_;
  std::vector<int> hung_up_;
  Matching matching_{{3, [](const std::string&) { return std::string(); }},
                     {[this](int peer, const std::string& text) { sent_.emplace_back(peer, text); },
                      [this](int peer) { hung_up_.push_back(peer); }}};

  std::vector<Result> results_to(int peer) {
    std::vector<Result> all;
    for (const auto& [to, text] : sent_)
      if (to == peer && Message(text).has_results())
        for (auto& result : Message(text).results()) all.push_back(std::move(result));
    sent_.clear();
    return all;
  }
};

TEST_F(MatchingTest, OfABatchOnlyTheTaskUnderWayIsToBlame) {
  matching_.add_proxy(1);
  for (int attempt = 1; attempt <= 3; ++attempt) {
    matching_.add_worker(10 + attempt, "", "node");
    (void)matching_.take(1, encode(std::vector{task(1, "innocent"), task(2, "guilty"), task(3, "later")}));
    matching_.match();
    (void)matching_.take(10 + attempt, encode(Started{1}));
    EXPECT_EQ(matching_.take(10 + attempt, encode(std::vector{result(1)})), 1);
    (void)matching_.take(10 + attempt, encode(Started{2}));
    sent_.clear();
    matching_.lose(10 + attempt, "it was killed");
    const auto results = results_to(1);
    ASSERT_EQ(results.size(), 2u);
    for (const auto& r : results)
      EXPECT_EQ(r.code, attempt == 3 && r.number == 2 ? ErrorCode::bad_input : ErrorCode::cancelled) << r.number;
  }
}

TEST_F(MatchingTest, OneTaskIsCancelledWhileItWaits) {
  matching_.add_proxy(1);
  (void)matching_.take(1, encode(std::vector{task(1), task(2)}));
  (void)matching_.take(1, encode(Cancel{{2}}));
  const auto results = results_to(1);
  ASSERT_EQ(results.size(), 1u);
  EXPECT_EQ(results[0].number, 2u);
  EXPECT_EQ(results[0].code, ErrorCode::cancelled);
  matching_.add_worker(2, "", "node");
  matching_.match();
  ASSERT_EQ(sent_.size(), 2u) << "the tasks, and which of them not to run";
  EXPECT_EQ(Message(sent_[1].second).find<Cancel>()->tasks, std::vector<std::uint64_t>{2});
  (void)matching_.take(2, encode(std::vector{result(1)}));
  EXPECT_TRUE(matching_.demand().empty());
}

TEST_F(MatchingTest, OrdersReachTheWorkerAndItsWordTheEngine) {
  matching_.add_proxy(1);
  matching_.add_worker(2, "", "node");
  (void)matching_.take(1, encode(std::vector{task(1)}));
  matching_.match();
  (void)matching_.take(1, encode(Cancel{{1}}));
  EXPECT_EQ(sent_.back().first, 2);
  (void)matching_.take(2, encode(Progress{1, 0.5, "half"}));
  EXPECT_EQ(sent_.back().first, 1);
  EXPECT_EQ(Message(sent_.back().second).find<Progress>()->what, "half");
  matching_.lose(1, "the engine is gone");
  EXPECT_EQ(hung_up_, std::vector{2}) << "nobody waits for what it does";
  EXPECT_FALSE(matching_.has_workers());
}

TEST_F(MatchingTest, AMessageThatIsNoneIsRefused) {
  matching_.add_proxy(1);
  for (const auto* text :
       {"", "[]", "{}", R"({"tasks": 3, "results": 4})", R"({"tasks": [{"task": "x"}]})", "\xff\xfe"})
    EXPECT_THROW((void)matching_.take(1, text), Error) << text;
}

TEST(Hub, TakesNobodyWithoutTheTokenOfThisRun) {
  const auto project = std::filesystem::temp_directory_path() / fmt::format("frazil-hub-{}", ::getpid());
  std::filesystem::create_directories(project);
  {
    const Hub hub(parse_cluster({{"address", "127.0.0.1"},
                                 {"submit", {"echo", "1"}},
                                 {"list", {"echo", "1 RUNNING"}},
                                 {"cancel", {"true"}}}),
                  project, {"worker"});
    auto other = read_hub_file(hub.file());
    other.token.back() = other.token.back() == '0' ? '1' : '0';
    write_text(project / "forged.json", record_to_json(other).dump());
    const int forged = connect_to_hub(project / "forged.json", "proxy");
    FrameReader reader;
    EXPECT_FALSE(receive(forged, reader, 3000).has_value());
    ::close(forged);
  }
  std::filesystem::remove_all(project);
}

}  // namespace
}  // namespace frazil::exec
