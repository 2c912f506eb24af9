#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <mutex>
#include <thread>

#include "base/core/encoding.h"
#include "base/crypto/sha256.h"
#include "billing/adapters/webhook_sender.h"
#include "tests/integration/billing/house.h"
#include "tests/support/eventually.h"

namespace tidegate::billing {
namespace {

using test::eventually;

/// Takes POSTs on a loopback port and answers with a status of the test's choice.
class Receiver {
 public:
  Receiver() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    EXPECT_EQ(::bind(socket_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(::listen(socket_, 16), 0);
    EXPECT_EQ(::getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    url = "http://127.0.0.1:" + std::to_string(ntohs(address.sin_port)) + "/hook";
    thread_ = std::thread([this] { serve(); });
  }
  ~Receiver() {
    ::shutdown(socket_, SHUT_RDWR);
    thread_.join();
    ::close(socket_);
  }
  std::vector<std::string> requests() {
    const std::lock_guard lock(mutex_);
    return requests_;
  }
  std::string url;
  std::atomic<int> failures_left = 0;

 private:
  void serve() {
    for (;;) {
      const int client = ::accept(socket_, nullptr, nullptr);
      if (client < 0) return;
      std::string text;
      char buffer[4096];
      while (!is_whole(text)) {
        const auto n = ::read(client, buffer, sizeof(buffer));
        if (n <= 0) break;
        text.append(buffer, static_cast<std::size_t>(n));
      }
      {
        const std::lock_guard lock(mutex_);
        requests_.push_back(text);
      }
      const std::string answer = failures_left-- > 0 ? "HTTP/1.1 500 no\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                                                     : "HTTP/1.1 204 ok\r\nConnection: close\r\n\r\n";
      EXPECT_EQ(::write(client, answer.data(), answer.size()), static_cast<ssize_t>(answer.size()));
      ::close(client);
    }
  }
  static bool is_whole(const std::string& text) {
    const auto head = text.find("\r\n\r\n"), field = text.find("Content-Length: ");
    if (head == text.npos || field == text.npos) return false;
    return text.size() >= head + 4 + std::stoul(text.substr(field + 16));
  }
  int socket_;
  std::thread thread_;
  std::mutex mutex_;
  std::vector<std::string> requests_;
};

std::string header_of(const std::string& request, const std::string& name) {
  const auto begin = request.find(name + ": ");
  if (begin == request.npos) return "";
  return request.substr(begin + name.size() + 2, request.find("\r\n", begin) - begin - name.size() - 2);
}

class Alerts : public House {
 protected:
  Alerts() {
    config_.budget_interval = std::chrono::milliseconds(50);
    config_.allow_private_webhooks = true;
    restart();
  }
  std::vector<int> thresholds(const std::string& kind) {
    std::vector<int> out;
    const auto list = budgets(&BudgetApi::ListAlerts, v1::ListAlertsRequest());
    for (const auto& alert : list->alerts()) {
      if (alert.kind() == kind) out.push_back(alert.threshold());
    }
    std::sort(out.begin(), out.end());
    return out;
  }
  void spend(const Customer& customer, std::uint64_t epoch, const v1::Lease& lease, std::uint64_t sequence) {
    ASSERT_TRUE(submit(make_batch(epoch, {make_event(customer, lease, sequence)})));  // 0.00072
  }
};

TEST_F(Alerts, AWalletSaysFiftyEightyAndAHundredOnceEach) {
  const auto customer = make_customer("acme", "0.00144");
  const auto epoch = open_epoch();
  const auto lease = accounts(&AccountsApi::AcquireLease, lease_request(customer, epoch, "0.00144")).value();
  spend(customer, epoch, lease, 1);
  EXPECT_TRUE(eventually([&] { return thresholds("wallet") == std::vector{50}; }));
  spend(customer, epoch, lease, 2);
  EXPECT_TRUE(eventually([&] { return thresholds("wallet") == std::vector{50, 80, 100}; }));
  v1::TopUpRequest more;
  more.set_tenant("acme");
  more.set_amount("1");
  ASSERT_TRUE(admin(&AdminApi::TopUp, more));
  const auto next = accounts(&AccountsApi::AcquireLease, lease_request(customer, epoch, "1")).value();
  force("UPDATE wallets SET balance = 0.5, leased = 0.4");
  EXPECT_TRUE(eventually([&] { return thresholds("wallet") == std::vector{50, 50, 80, 100}; })) << "a credit begins anew";
}

TEST_F(Alerts, ACapsPeriodSaysItAndTheWebhookIsSignedAndRepeatedUntilItIsTaken) {
  Receiver receiver;
  receiver.failures_left = 1;
  const auto customer = make_customer("acme", "10");
  v1::SetWebhookRequest hook;
  hook.set_tenant("acme");
  hook.set_url(receiver.url);
  const auto webhook = budgets(&BudgetApi::SetWebhook, hook);
  ASSERT_TRUE(webhook);
  EXPECT_EQ(webhook->secret().size(), 64u);
  v1::SetCapRequest cap;
  cap.set_tenant("acme");
  cap.set_amount("0.001");
  const auto made = budgets(&BudgetApi::SetCap, cap).value();
  const auto epoch = open_epoch();
  const auto lease = accounts(&AccountsApi::AcquireLease, lease_request(customer, epoch, "1")).value();
  v1::AcquireLeaseRequest of_cap = lease_request(customer, epoch, "0.001");
  of_cap.clear_wallet_id();
  of_cap.set_cap_id(std::string(Uuid::parse(made.cap_id())->raw()));
  auto event = make_event(customer, lease, 1);  // 0.00072: 72 %
  event.add_cap_lease_ids(accounts(&AccountsApi::AcquireLease, of_cap)->lease_id());
  ASSERT_TRUE(submit(make_batch(epoch, {event})));
  ASSERT_TRUE(eventually([&] { return thresholds("cap") == std::vector{50}; }));
  ASSERT_TRUE(eventually([&] { return !receiver.requests().empty(); }));
  EXPECT_TRUE(eventually([&] { return query("SELECT max(attempts) FROM alerts") == "1"; }));
  EXPECT_EQ(query("SELECT count(*) FROM alerts WHERE delivered_at IS NOT NULL"), "0") << "the receiver said 500";
  force("UPDATE alerts SET next_try_at = now()");
  ASSERT_TRUE(eventually([&] { return query("SELECT count(*) FROM alerts WHERE delivered_at IS NOT NULL") == "1"; }));
  const auto requests = receiver.requests();
  ASSERT_EQ(requests.size(), 2u);
  EXPECT_EQ(header_of(requests[0], "Tidegate-Event-Id"), header_of(requests[1], "Tidegate-Event-Id"));
  const std::string body = requests[1].substr(requests[1].find("\r\n\r\n") + 4);
  EXPECT_NE(body.find(R"("threshold":50)"), std::string::npos) << body;
  const std::string signature = header_of(requests[1], "Tidegate-Signature");
  const std::string at = signature.substr(2, signature.find(',') - 2);
  EXPECT_EQ(signature, "t=" + at + ",v1=" + hex_encode(as_view(hmac_sha256(webhook->secret(), at + "." + body))));
}

TEST_F(Alerts, AnAddressInsideIsNeverCalledUnlessTheOperatorAllowsIt) {
  Receiver receiver;
  WebhookCall call{receiver.url, {}, "{}"};
  EXPECT_EQ(send_webhook(call, {}).error().reason, "private_address");
  call.url = "http://localhost" + receiver.url.substr(std::string("http://127.0.0.1").size());
  EXPECT_EQ(send_webhook(call, {}).error().reason, "private_address") << "by the address, not by the name";
  call.url = "http://0x7f.1" + receiver.url.substr(std::string("http://127.0.0.1").size());
  EXPECT_EQ(send_webhook(call, {}).error().reason, "private_address") << "however it is spelt";
  EXPECT_TRUE(receiver.requests().empty());
  call.url = receiver.url;
  EXPECT_TRUE(send_webhook(call, {.allows_private = true}));
  receiver.failures_left = 1;
  EXPECT_EQ(send_webhook(call, {.allows_private = true}).error().reason, "webhook_failed");
}

}  // namespace
}  // namespace tidegate::billing
