// A month of fifty tenants, from usage events to printed invoices. TG_MONTH_EVENTS sets how many events (default
// 3,000), TG_MONTH_OUT a folder where the documents are kept.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>

#include "base/pg/pool.h"
#include "base/price/calendar_month.h"
#include "billing/adapters/lease_store.h"
#include "billing/adapters/usage_store.h"
#include "tests/integration/billing/house.h"
#include "tests/support/focus_validator.h"
#include "tests/support/pdf_text.h"
#include "tidegate/v1/statement.grpc.pb.h"

namespace tidegate::billing {
namespace {

using StatementsApi = class v1::Statements::Stub::async;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// Real deadlines, a calendar of the test's.
class CalendarClock final : public Clock {
 public:
  Mono mono() const override { return system_.mono(); }
  Wall wall() const override { return wall_from_unix_micros(wall_us_.load()); }
  void set(Wall wall) { wall_us_ = unix_micros(wall); }

 private:
  SystemClock system_;
  std::atomic<std::int64_t> wall_us_{0};
};

Wall at(const char* text) { return parse_rfc3339(text).value(); }

constexpr int kTenants = 50;
constexpr int kIdleTenants = 4;
constexpr const char* kMonth = "2026-03";  // summer time begins in New York on the 8th, in Berlin on the 29th

struct Kind {
  const char *tz, *currency, *legal_name, *address, *tax_name, *tax_rate;
};
constexpr Kind kKinds[] = {
    {"Asia/Shanghai", "CNY", "深圳市潮门科技有限公司", "广东省深圳市南山区科技园 1 号", "增值税 VAT", "6%"},
    {"America/New_York", "USD", "Hudson Analytics, Inc.", "200 Broadway\nNew York, NY 10038", "Sales tax", "8.875%"},
    {"Europe/Berlin", "USD", "Müller & Söhne GmbH", "Straße des 17. Juni 1\n10623 Berlin", "USt", "19%"},
    {"UTC", "USD", "", "", "Tax", ""},
    {"Asia/Tokyo", "JPY", "株式会社潮位計算", "東京都千代田区丸の内 1-1", "消費税", "10%"},
    {"Australia/Lord_Howe", "CNY", "Lord Howe \"Reef\" Pty, Ltd", "", "GST", "1/11"},
};

struct Member {
  std::string name;
  Kind kind;
  TenantId tenant;
  WalletId wallet;
  LeaseId lease;
  std::vector<std::pair<ProjectId, ApiKeyId>> keys;
  price::CalendarMonth month;
};

class Month : public House {
 protected:
  Month() {
    if (const char* text = std::getenv("TG_MONTH_EVENTS")) events_ = std::stoll(text);
    calendar_.set(at("2026-02-20T00:00:00Z"));
    replica_ = Billing::start(config_, {calendar_, entropy_, log_, registry_}).value();
    rpc::ChannelOptions options;
    options.token = config_.admin_key;
    channel_ = rpc::make_channel(replica_->address(), options).value();
    admin_then_ = std::make_unique<rpc::Client<v1::BillingAdmin>>(channel_);
    statements_ = std::make_unique<rpc::Client<v1::Statements>>(channel_);
    pool_ = std::make_unique<pg::Pool>(
        pg::PoolOptions{.connection = config_.pg_dsn, .connections = 2, .statement_timeout = std::chrono::minutes(5)});
  }
  ~Month() override {
    channel_->shut();
    replica_->stop();
    pool_->stop();
  }

  static Deadline long_time() { return Deadline::after(SystemClock().mono(), std::chrono::minutes(10)); }
  template <typename Request, typename Response>
  Response then(rpc::UnaryMethod<AdminApi, Request, Response> method, Request request) {
    auto answer = admin_then_->call_blocking(method, std::move(request), long_time());
    EXPECT_TRUE(answer) << answer.error().to_string();
    return answer.value_or(Response());
  }
  template <typename Request, typename Response>
  Response state(rpc::UnaryMethod<StatementsApi, Request, Response> method, Request request) {
    auto answer = statements_->call_blocking(method, std::move(request), long_time());
    EXPECT_TRUE(answer) << answer.error().to_string();
    return answer.value_or(Response());
  }
  template <typename Work>
  auto in_database(Work work) {
    auto answer = pool_->run_blocking(long_time(), work);
    EXPECT_TRUE(answer) << answer.error().to_string();
    return answer;
  }

  void found_tenants() {
    for (int i = 0; i < kTenants; ++i) {
      Member member{fmt::format("tenant-{:02}", i), kKinds[i % std::size(kKinds)]};
      v1::CreateTenantRequest tenant;
      tenant.set_name(member.name);
      tenant.set_billing_tz(member.kind.tz);
      tenant.set_currency(member.kind.currency);
      const auto made = then(&AdminApi::CreateTenant, tenant);
      member.tenant = TenantId::parse(made.tenant_id()).value();
      member.wallet = WalletId::parse(made.wallet_id()).value();
      member.month = price::month_labelled(member.kind.tz, kMonth).value();
      for (int p = 0; p < 1 + i % 3; ++p) {
        v1::CreateProjectRequest project;
        project.set_tenant(member.name);
        project.set_name(fmt::format("project-{}", p));
        const auto project_id = ProjectId::parse(then(&AdminApi::CreateProject, project).project_id()).value();
        v1::CreateKeyRequest key;
        key.set_tenant(member.name);
        key.set_project(project.name());
        key.set_name("key, \"quoted\"");
        member.keys.emplace_back(project_id, ApiKeyId::parse(then(&AdminApi::CreateKey, key).key().key_id()).value());
      }
      v1::TopUpRequest top_up;
      top_up.set_tenant(member.name);
      top_up.set_amount("100000000");
      top_up.set_note("汇款 wire");
      then(&AdminApi::TopUp, top_up);
      v1::BillingProfile profile;
      profile.set_tenant(member.name);
      profile.set_legal_name(member.kind.legal_name);
      profile.set_address(member.kind.address);
      profile.set_tax_name(member.kind.tax_name);
      profile.set_tax_rate(member.kind.tax_rate);
      state(&StatementsApi::SaveBillingProfile, profile);
      members_.push_back(std::move(member));
    }
  }

  void open_gateway() {
    in_database([&](pqxx::work& tx) -> Result<int> {
      epoch_ = billing::open_epoch(tx, {"g-month", ids_.next(), "local"}, calendar_.wall()).epoch;
      return 0;
    });
    for (auto& member : members_) {
      AcquireLease request{"g-month",
                           epoch_,
                           member.wallet,
                           Money::parse("1000000").value(),
                           Money::parse("1000000").value(),
                           ids_.next(),
                           LeaseId{ids_.next()},
                           at("2026-06-01T00:00:00Z")};
      const auto lease = in_database([&](pqxx::work& tx) { return acquire_lease(tx, request, calendar_.wall()); });
      member.lease = lease->id;
    }
  }

  UsageEvent make_usage(const Member& member, Wall completed) {
    UsageEvent event;
    event.sequence = 0;  // given when it is sent
    const auto millis = static_cast<std::uint64_t>(unix_micros(completed) / 1000) - 2000;
    entropy_.fill(event.request.uuid.bytes.data(), 16);
    for (std::size_t i = 0; i < 6; ++i) event.request.uuid.bytes[i] = static_cast<std::uint8_t>(millis >> (40 - 8 * i));
    event.request.uuid.bytes[6] = static_cast<std::uint8_t>(0x70 | (event.request.uuid.bytes[6] & 0x0f));
    event.request.uuid.bytes[8] = static_cast<std::uint8_t>(0x80 | (event.request.uuid.bytes[8] & 0x3f));
    entropy_.fill(event.payload_sha256.data(), 32);
    event.tenant = member.tenant;
    event.wallet = member.wallet;
    event.lease = member.lease;
    std::tie(event.project, event.key) = member.keys[rng_.next() % member.keys.size()];
    event.model = "m";
    event.variant = "fp8";
    event.region = "local";
    event.pool = "cpu";
    event.worker_id = "w1";
    event.weights_digest = "sha256:0";
    event.finish_reason = "stop";
    event.surface = "http.chat";
    event.instants = {completed - std::chrono::seconds(2), completed - std::chrono::seconds(1), completed,
                      std::chrono::microseconds(0)};
    event.prompt_tokens = static_cast<std::int64_t>(rng_.next() % 20'000);
    event.cached_tokens =
        static_cast<std::int64_t>(rng_.next() % (static_cast<std::uint64_t>(event.prompt_tokens) + 1));
    event.completion_tokens = static_cast<std::int64_t>(rng_.next() % 4'000);
    const auto rated =
        book_->rate({event.model, member.kind.currency, event.region, event.pool}, event.instants,
                    {event.cached_tokens, event.prompt_tokens - event.cached_tokens, event.completion_tokens});
    EXPECT_TRUE(rated) << rated.error().to_string();
    event.price_version = rated->price_version;
    event.band = rated->band;
    event.amount = rated->total;
    return event;
  }

  /// Sends in order of completion, as a gateway ships its journal; the calendar follows.
  void send(std::vector<UsageEvent> events) {
    std::sort(events.begin(), events.end(),
              [](const auto& a, const auto& b) { return a.instants.completed < b.instants.completed; });
    for (std::size_t start = 0; start < events.size(); start += kBatchEventsMax) {
      UsageBatch batch{"g-month", epoch_, {}};
      for (std::size_t i = start; i < std::min(start + kBatchEventsMax, events.size()); ++i) {
        events[i].sequence = ++sequence_;
        batch.events.push_back(std::move(events[i]));
      }
      calendar_.set(
          std::max(calendar_.wall(), batch.events.back().instants.completed + std::chrono::milliseconds(200)));
      const auto applied = in_database([&](pqxx::work& tx) {
        return apply_usage(tx, batch, {&prices_, &dimensions_, &ids_, "2025b", calendar_.wall()});
      });
      ASSERT_TRUE(applied);
      applied_ += applied->applied;
    }
  }

  std::vector<v1::Invoice> close_all() {
    std::vector<v1::Invoice> out;
    v1::CloseInvoicesRequest request;
    bool has_more = true;
    while (has_more) {
      const auto closed = state(&StatementsApi::CloseInvoices, request);
      has_more = closed.has_more();
      for (const auto& month : closed.closed()) {
        if (month.has_invoice()) out.push_back(month.invoice());
      }
    }
    return out;
  }

  std::string document(const v1::Invoice& invoice, v1::DocumentFormat format) {
    v1::GetInvoiceDocumentRequest request;
    request.set_invoice(invoice.number());
    request.set_format(format);
    const auto made = state(&StatementsApi::GetInvoiceDocument, request);
    if (const char* folder = std::getenv("TG_MONTH_OUT")) {
      std::filesystem::create_directories(folder);
      std::ofstream(std::filesystem::path(folder) / made.file_name(), std::ios::binary) << made.content();
    }
    return made.content();
  }

  /// A refund and a charge that a grant paid, as the ledger holds them.
  void refund_and_grant(const Member& member) {
    const std::string wallet = member.wallet.to_string(), currency = member.kind.currency;
    const std::string when = format_rfc3339(calendar_.wall());
    const std::string refund = ids_.next().to_string(), charge = ids_.next().to_string(),
                      grant = ids_.next().to_string(), promo = ids_.next().to_string();
    force(fmt::format(R"sql(
      INSERT INTO ledger_accounts (kind, currency) VALUES ('promo_expense', '{1}') ON CONFLICT DO NOTHING;
      INSERT INTO ledger_tx (id, source_type, source_id, wallet_id, effective_at, posted_at, note)
        VALUES ('{2}', 'refund', '{2}', '{0}', '{3}', '{3}', 'outage of 3 March');
      INSERT INTO ledger_entries SELECT '{2}', row_number() OVER (), id, '{1}', CASE kind WHEN 'revenue' THEN 1.230000000007 ELSE -1.230000000007 END
        FROM ledger_accounts WHERE (kind = 'revenue' AND currency = '{1}') OR (kind = 'prepaid' AND wallet_id = '{0}');
      INSERT INTO grants (id, wallet_id, amount, consumed, priority, effective_at, expires_at)
        VALUES ('{4}', '{0}', 5, 2.5, 1, '2026-01-01', '2027-01-01');
      INSERT INTO ledger_accounts (wallet_id, grant_id, kind, currency) VALUES ('{0}', '{4}', 'grant', '{1}');
      INSERT INTO ledger_tx (id, source_type, source_id, wallet_id, effective_at, posted_at) VALUES ('{6}', 'grant', '{6}', '{0}', '{3}', '{3}');
      INSERT INTO ledger_entries SELECT '{6}', row_number() OVER (), id, '{1}', CASE kind WHEN 'promo_expense' THEN 5 ELSE -5 END
        FROM ledger_accounts WHERE (kind = 'promo_expense' AND currency = '{1}') OR grant_id = '{4}';
      INSERT INTO ledger_tx (id, source_type, source_id, wallet_id, effective_at, posted_at, note)
        VALUES ('{5}', 'correction', '{5}', '{0}', '{3}', '{3}', 'support hours');
      INSERT INTO ledger_entries SELECT '{5}', row_number() OVER (), id, '{1}', CASE kind WHEN 'grant' THEN 2.5 ELSE -2.5 END
        FROM ledger_accounts WHERE (kind = 'revenue' AND currency = '{1}') OR grant_id = '{4}';
      INSERT INTO grant_uses VALUES ('{4}', '{5}', 2.5, '{3}');
      UPDATE wallets SET balance = balance + 1.230000000007 + 5 - 2.5 WHERE id = '{0}';)sql",
                      wallet, currency, refund, when, grant, charge, promo));
  }

  std::int64_t events_ = 3'000;
  CalendarClock calendar_;
  std::unique_ptr<Billing> replica_;
  std::shared_ptr<rpc::Channel> channel_;
  std::unique_ptr<rpc::Client<v1::BillingAdmin>> admin_then_;
  std::unique_ptr<rpc::Client<v1::Statements>> statements_;
  std::unique_ptr<pg::Pool> pool_;
  PriceCache prices_;
  UsageDimensions dimensions_;
  std::optional<price::PriceBook> book_;
  Rng rng_{2026};
  std::vector<Member> members_;
  std::int64_t epoch_ = 0;
  std::uint64_t sequence_ = 0;
  std::uint64_t applied_ = 0;
};

constexpr const char* kYen =
    R"({"price_books": [{"id": "yen", "models": ["m"], "effective_from": "2020-01-01T00:00:00Z", "schedules": [
    {"name": "always", "default": true, "rates": {"JPY": {"input_cache_hit": "0.003625", "input_cache_miss": "42.5", "output": "310.000001"}}}]}]})";

TEST_F(Month, OfFiftyTenantsIsTheLedgerToThePicoOnPaperInCsvAndInFocus) {
  const auto started = std::chrono::steady_clock::now();
  const auto seconds = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  };
  ASSERT_TRUE(load_prices_file(kYen));
  book_ = in_database(load_prices)->book;
  found_tenants();
  open_gateway();

  std::vector<UsageEvent> on_time, late;
  for (std::int64_t n = 0; n < events_; ++n) {
    const Member& member = members_[static_cast<std::size_t>(n) % (kTenants - kIdleTenants)];
    const auto length = static_cast<std::uint64_t>((member.month.end - member.month.begin).count());
    // The first and the last microsecond of the month are among them.
    const std::uint64_t offset = n < kTenants ? 0 : n < 2 * kTenants ? length - 1 : rng_.next() % length;
    auto event = make_usage(member, member.month.begin + std::chrono::microseconds(static_cast<std::int64_t>(offset)));
    (rng_.next() % 50 == 0 ? late : on_time).push_back(std::move(event));
  }
  // A journal ships within moments, so what ends with the month is posted in it: the calendar stands before its end.
  const double made_s = seconds();
  std::map<Wall, std::vector<UsageEvent>> by_end;
  for (auto& event : on_time) {
    const auto& member =
        *std::find_if(members_.begin(), members_.end(), [&](const Member& m) { return m.tenant == event.tenant; });
    if (event.instants.completed + std::chrono::seconds(1) < member.month.end) {
      by_end[Wall()].push_back(std::move(event));
    } else {
      late.push_back(std::move(event));
    }
  }
  // Zone by zone in the order in which their months end, so that no event waits for a batch beyond its own month.
  std::map<Wall, std::vector<UsageEvent>> slices;
  for (auto& event : by_end[Wall()])
    slices[std::chrono::floor<std::chrono::hours>(event.instants.completed)].push_back(std::move(event));
  for (auto& [hour, events] : slices) ASSERT_NO_FATAL_FAILURE(send(std::move(events)));
  refund_and_grant(members_[0]);
  const double applied_s = seconds();

  calendar_.set(at("2026-04-02T00:00:00Z"));
  auto invoices = close_all();
  const double closed_s = seconds();
  EXPECT_EQ(invoices.size(), static_cast<std::size_t>(kTenants - kIdleTenants));
  EXPECT_TRUE(close_all().empty());
  const std::size_t late_count = late.size();
  ASSERT_GT(late_count, 0U);
  ASSERT_NO_FATAL_FAILURE(send(std::move(late)));
  calendar_.set(at("2026-05-02T00:00:00Z"));
  const auto april = close_all();
  ASSERT_FALSE(april.empty());
  invoices.insert(invoices.end(), april.begin(), april.end());

  // One is taken back and made again under another name.
  v1::VoidInvoiceRequest voiding;
  voiding.set_invoice(invoices[1].number());
  voiding.set_reason("legal name changed");
  state(&StatementsApi::VoidInvoice, voiding);
  v1::BillingProfile renamed;
  renamed.set_tenant(invoices[1].tenant_name());
  renamed.set_legal_name("Renamed, Inc.");
  renamed.set_tax_rate("71/800");
  state(&StatementsApi::SaveBillingProfile, renamed);
  v1::ReplaceInvoiceRequest replacing;
  replacing.set_invoice(invoices[1].number());
  const auto replaced = state(&StatementsApi::ReplaceInvoice, replacing);
  EXPECT_EQ(replaced.subtotal_exact(), invoices[1].subtotal_exact());
  EXPECT_EQ(replaced.buyer_name(), "Renamed, Inc.");
  EXPECT_THAT(test::pdf_text(document(invoices[1], v1::DOCUMENT_FORMAT_PDF)), HasSubstr("legal name changed"));
  invoices[1] = replaced;

  std::map<std::string, Money> invoiced;
  std::size_t pdf_bytes = 0, focus_rows = 0;
  int pages = 0, corrections = 0;
  for (const auto& invoice : invoices) {
    invoiced[invoice.currency()] += Money::parse(invoice.subtotal_exact()).value();
    const auto pdf = document(invoice, v1::DOCUMENT_FORMAT_PDF);
    pdf_bytes += pdf.size();
    const auto text = test::pdf_text(pdf);
    pages += static_cast<int>(std::count(text.begin(), text.end(), '\f'));
    EXPECT_THAT(text, HasSubstr(invoice.number()));
    EXPECT_THAT(text, HasSubstr(invoice.buyer_name()));
    EXPECT_THAT(text, HasSubstr("Total " + invoice.currency()));

    const auto focus = document(invoice, v1::DOCUMENT_FORMAT_FOCUS);
    EXPECT_THAT(test::FocusValidator().check(focus), IsEmpty()) << invoice.number();
    EXPECT_EQ(test::FocusValidator::billed(focus).at(invoice.number()).to_string(), invoice.total());
    const auto rows = test::parse_csv(focus);
    focus_rows += rows.size() - 1;
    for (const auto& row : rows) corrections += static_cast<int>(std::count(row.begin(), row.end(), "Correction"));

    const auto csv = test::parse_csv(document(invoice, v1::DOCUMENT_FORMAT_CSV));
    Money sum;
    for (std::size_t i = 1; i < csv.size(); ++i) sum += Money::parse(csv[i].at(15)).value();
    EXPECT_EQ(sum.to_string(), invoice.total()) << invoice.number();
  }
  const double documents_s = seconds();
  EXPECT_GT(corrections, 0);

  Money difference;
  for (const auto& [currency, sum] : invoiced) {
    const auto ledger = Money::parse(query("SELECT trim_scale(-sum(e.amount))::text FROM ledger_entries e JOIN "
                                           "ledger_accounts a ON a.id = e.account JOIN ledger_tx t ON t.id = e.tx "
                                           "WHERE (a.kind = 'revenue' OR (a.kind = 'grant' AND t.source_type <> "
                                           "'grant')) AND t.source_type NOT IN ('invoice', 'invoice_void') "
                                           "AND e.currency = '" +
                                           currency + "'"))
                            .value();
    EXPECT_EQ(sum, ledger) << currency;
    difference += sum - ledger;
  }
  EXPECT_EQ(invoiced.size(), 3U);
  EXPECT_EQ(applied_, static_cast<std::uint64_t>(events_));
  EXPECT_EQ(query("SELECT count(*) FROM invoices i JOIN tenants t ON t.id = i.tenant_id WHERE t.name >= 'tenant-46'"),
            "0");
  EXPECT_EQ(query("SELECT (upper(period) - lower(period))::text FROM invoices WHERE billing_tz = 'America/New_York' "
                  "AND period_label = '2026-03' LIMIT 1"),
            "30 days 23:00:00")
      << "an hour is missing on 8 March";
  expect_reconciled();
  const double all_s = seconds();
  fmt::print(
      "month: {} tenants, {} events ({} late), {} invoices, {} pages, {} PDF bytes, {} FOCUS rows ({} corrections)\n"
      "month: difference {} pico; seconds: make {:.1f}, apply {:.1f}, close {:.2f}, documents {:.1f}, reconcile "
      "{:.1f}, all {:.1f}\n",
      kTenants, applied_, late_count, invoices.size(), pages, pdf_bytes, focus_rows, corrections,
      int128_to_string(difference.pico()), made_s, applied_s - made_s, closed_s - applied_s, documents_s - closed_s,
      all_s - documents_s, all_s);
}

}  // namespace
}  // namespace tidegate::billing
