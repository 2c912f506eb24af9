#pragma once

#include <string>
#include <vector>

#include "base/price/calendar_month.h"
#include "tests/integration/billing/house.h"
#include "tidegate/v1/statement.grpc.pb.h"

namespace tidegate::billing {

using StatementsApi = class v1::Statements::Stub::async;

/// The system's clock, ahead by a settable step: deadlines stay real, calendars move.
class AheadClock final : public Clock {
 public:
  Mono mono() const override { return system_.mono(); }
  Wall wall() const override { return system_.wall() + std::chrono::microseconds(ahead_us_.load()); }
  /// To the second day of the next month (UTC): exactly one more month has ended.
  void go_to_next_month() {
    const auto month = price::month_of("UTC", wall()).value();
    ahead_us_ +=
        std::chrono::duration_cast<std::chrono::microseconds>(month.end + std::chrono::hours(24) - wall()).count();
  }

 private:
  SystemClock system_;
  std::atomic<std::int64_t> ahead_us_{0};
};

/// A House, and a second replica that lives later: what the first one posted is a month ago there.
class LateHouse : public House {
 protected:
  explicit LateHouse(const std::string& dsn = migrated_database()) : House(dsn) {
    later_ = Billing::start(config_, {ahead_, entropy_, log_, registry_}).value();
    rpc::ChannelOptions options;
    options.token = config_.admin_key;
    later_channel_ = rpc::make_channel(later_->address(), options).value();
    statements_ = std::make_unique<rpc::Client<v1::Statements>>(later_channel_);
  }
  ~LateHouse() override {
    later_channel_->shut();
    later_->stop();
  }

  template <typename Request, typename Response>
  Result<Response> statements(rpc::UnaryMethod<StatementsApi, Request, Response> method, Request request) {
    return statements_->call_blocking(method, std::move(request), soon());
  }
  Result<v1::CloseInvoicesResponse> close_months(const std::string& tenant = "", bool is_draft = false) {
    v1::CloseInvoicesRequest request;
    request.set_tenant(tenant);
    request.set_is_draft(is_draft);
    return statements(&StatementsApi::CloseInvoices, request);
  }
  /// The one invoice that closing makes.
  v1::Invoice close_one(const std::string& tenant = "") {
    const auto closed = close_months(tenant);
    EXPECT_TRUE(closed) << closed.error().to_string();
    std::vector<v1::Invoice> made;
    for (const auto& month : closed->closed()) {
      if (month.has_invoice()) made.push_back(month.invoice());
    }
    EXPECT_EQ(made.size(), 1U);
    return made.empty() ? v1::Invoice() : made.front();
  }
  v1::InvoiceDetail detail(const std::string& invoice) {
    v1::GetInvoiceRequest request;
    request.set_invoice(invoice);
    return statements(&StatementsApi::GetInvoice, request).value();
  }
  std::string document(const std::string& invoice, v1::DocumentFormat format) {
    v1::GetInvoiceDocumentRequest request;
    request.set_invoice(invoice);
    request.set_format(format);
    return statements(&StatementsApi::GetInvoiceDocument, request).value().content();
  }
  /// A request that ended just now.
  v1::UsageEvent event_now(const Customer& customer, const v1::Lease& lease, std::uint64_t sequence,
                           std::int64_t prompt = 100, std::int64_t cached = 40, std::int64_t completion = 50) {
    auto event = make_event(customer, lease, sequence, prompt, cached, completion);
    const std::int64_t now = unix_micros(clock_.wall());
    event.set_admitted_us(now - 2);
    event.set_started_us(now - 1);
    event.set_completed_us(now);
    rate(event, customer.tenant.currency());
    return event;
  }

  AheadClock ahead_;
  std::unique_ptr<Billing> later_;

 private:
  std::shared_ptr<rpc::Channel> later_channel_;
  std::unique_ptr<rpc::Client<v1::Statements>> statements_;
};

}  // namespace tidegate::billing
