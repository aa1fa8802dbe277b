//! The catalogue of error codes: each code of a [`Problem`](crate::errors::Problem) or of one of its `errors`, with its
//! HTTP statuses. A test fails if the code of the program has an error code that is not here, or the reverse.

/// A code that programs can rely on.
pub struct ErrorCode {
    pub code: &'static str,
    /// The HTTP statuses of problems with this code.
    pub statuses: &'static [u16],
    /// The cause, and what the caller can do.
    pub meaning: &'static str,
}

const fn code(code: &'static str, statuses: &'static [u16], meaning: &'static str) -> ErrorCode {
    ErrorCode { code, statuses, meaning }
}

/// A group of codes, as docs/errors.md shows them.
pub struct Group {
    pub title: &'static str,
    pub codes: &'static [ErrorCode],
}

/// All codes.
pub fn all() -> impl Iterator<Item = &'static ErrorCode> {
    CATALOGUE.iter().flat_map(|group| group.codes)
}

/// docs/errors.md.
pub fn page() -> String {
    let mut page = include_str!("../../assets/errors.md").to_owned();
    for group in CATALOGUE {
        page += &format!("\n## {}\n\n| code | status | meaning |\n|---|---|---|\n", group.title);
        for entry in group.codes {
            let statuses: Vec<_> = entry.statuses.iter().map(u16::to_string).collect();
            page += &format!("| `{}` | {} | {} |\n", entry.code, statuses.join(", "), entry.meaning);
        }
    }
    page
}

/// Each group sorted by code.
pub const CATALOGUE: &[Group] = &[
    Group {
        title: "The request",
        codes: &[
            code("body_timeout", &[408], "The body arrived too slowly. Send the request again."),
            code("body_too_large", &[413], "The body is larger than the limit. Send the data in parts."),
            code(
                "idempotency_key_in_progress",
                &[409],
                "The first request with this `Idempotency-Key` has no response yet. Wait a minute, then check whether it was carried out.",
            ),
            code(
                "idempotency_key_reused",
                &[409],
                "The `Idempotency-Key` was used for a different request. Use a new key for a new request.",
            ),
            code(
                "invalid_amount",
                &[422],
                "An amount is not valid. Send text with at most six decimals, such as `\"49.00\"`.",
            ),
            code("invalid_batch", &[422], "The array has no conversions, or more than 1,000."),
            code("invalid_body", &[400], "The body is incomplete, or is not readable text. Send it again."),
            code("invalid_cursor", &[400], "The cursor is not valid. Send `next` of the previous page."),
            code(
                "invalid_field",
                &[422],
                "Fields of the body are missing, unknown or not valid. `errors` names each of them.",
            ),
            code("invalid_id", &[400], "The id in the path is not an id of this kind of object."),
            code(
                "invalid_idempotency_key",
                &[400],
                "The `Idempotency-Key` is empty, too long, or not printable ASCII.",
            ),
            code("invalid_json", &[400], "The body is not JSON."),
            code("invalid_parameter", &[400], "A query parameter is missing, unknown or not valid."),
            code("method_not_allowed", &[405], "The path does not allow the method."),
            code(
                "not_found",
                &[404],
                "The object does not exist, or the caller may not see it; or the path does not exist.",
            ),
            code("unsupported_media_type", &[415], "The `Content-Type` is not the one that the operation accepts."),
        ],
    },
    Group {
        title: "The caller",
        codes: &[
            code(
                "affiliate_suspended",
                &[403, 422],
                "The affiliate is suspended, so nothing of it can be changed or paid.",
            ),
            code(
                "cross_site",
                &[403],
                "A page of another site sent the request with a session. Send it from the dashboard, or use an API key.",
            ),
            code(
                "forbidden",
                &[403],
                "The role of the user, or the scopes of the key, do not have the permission of the operation.",
            ),
            code("needs_person", &[403], "The operation needs the session of a person. API keys cannot perform it."),
            code(
                "password_needed",
                &[403],
                "The operation needs the password of the person, and the second factor if there is one.",
            ),
            code("read_only_session", &[403], "The session can only read."),
            code(
                "too_many_attempts",
                &[429],
                "There were too many attempts with wrong credentials. Wait for the time in `Retry-After`.",
            ),
            code("unauthorized", &[401], "The API key or session is missing, unknown, expired or revoked."),
        ],
    },
    Group {
        title: "Users and sign-in",
        codes: &[
            code("busy", &[503], "Too many passwords are being checked. Send the request again."),
            code("has_second_factor", &[409], "The account has a second factor. Remove it first."),
            code("last_owner", &[409], "The user is the last active owner. Make another user an owner first."),
            code("link_used", &[410], "The link was used or has expired. Request a new one."),
            code("no_second_factor", &[409], "The account has no second factor."),
            code("registration_closed", &[403], "Affiliates cannot register themselves."),
            code("second_factor_needed", &[401], "The account has a second factor. Send its code, too."),
            code("sign_in_failed", &[401], "The e-mail address or the password is wrong."),
            code("user_disabled", &[403], "The user is disabled."),
            code("waiting_for_approval", &[403], "The user registered and is not approved yet."),
            code("weak_password", &[422], "The password is too short or too easy to guess."),
            code("wrong_code", &[422], "The code of the second factor is wrong, or was used before."),
            code("wrong_password", &[422], "The current password is wrong."),
        ],
    },
    Group {
        title: "Limits",
        codes: &[
            code("balance_limit", &[422], "The account of an affiliate would hold more than 4,000,000,000,000."),
            code("too_many_api_keys", &[409], "The person has the maximum number of active API keys. Revoke one."),
            code("too_many_links", &[409], "The affiliate has the maximum number of links."),
            code("too_many_postbacks", &[409], "The affiliate has the maximum number of postbacks. Archive one."),
            code("too_many_reports", &[429], "Too many reports and exports are running. Send the request again later."),
            code(
                "too_many_retries",
                &[429],
                "Too many deliveries and inbound requests were retried. Wait for the time in `Retry-After`.",
            ),
            code("too_many_sources", &[409], "The affiliate has the maximum number of sources. Archive one."),
            code("too_many_tests", &[429], "Too many test requests were sent. Wait for the time in `Retry-After`."),
            code("took_too_long", &[422], "The report or export takes longer than one request may. Request less data."),
        ],
    },
    Group {
        title: "Program",
        codes: &[
            code("changed_meanwhile", &[409], "Another request changed the object. Read it and send the change again."),
            code("invalid_landing_url", &[422], "The landing page is not a valid URL, or has an unknown macro."),
            code("invalid_rate", &[422], "The exchange rate is not valid."),
            code(
                "not_admitted",
                &[409, 422],
                "The affiliate may not promote the offer. It needs an approved application.",
            ),
            code(
                "parent_affiliate_cycle",
                &[422],
                "The parent affiliate is a sub-affiliate of this affiliate, or the affiliate itself.",
            ),
            code("taken", &[409], "The value belongs to another object. Choose another value."),
            code("unknown_parent_affiliate", &[422], "No affiliate has this id or referral code."),
        ],
    },
    Group {
        title: "Conversions",
        codes: &[
            code("amount_missing", &[422], "The offer pays a percentage. Send `amount` or `payout`."),
            code(
                "attribution_missing",
                &[422],
                "The conversion has no evidence. Send `click_id`, `referral_code` or `coupon`, or a known customer.",
            ),
            code("conversion_already_approved", &[409], "The conversion is approved, and cannot become pending again."),
            code(
                "conversion_already_rejected",
                &[409],
                "The conversion is rejected, and the requested change is not possible.",
            ),
            code("coupon_not_active", &[422], "The coupon was not valid at the time of the purchase."),
            code("not_a_click", &[422], "The id is that of an impression. Send the id of a click."),
            code("offer_mismatch", &[422], "The click or coupon belongs to another offer than `offer_id`."),
            code(
                "offer_missing",
                &[422],
                "The evidence leads to no offer, and there is no default offer. Send `offer_id`.",
            ),
            code("outside_window", &[422], "The purchase was after the offer's attribution window."),
            code("share_too_large", &[422], "The payout, as a share of the amount, is larger than an amount may be."),
            code("transaction_of_another_click", &[422], "The transaction was reported before, for another affiliate."),
            code("unknown_click", &[422], "There is no click with this id."),
            code(
                "unknown_goal",
                &[422],
                "The offer lists its goals and refuses others. Send one of them, or change `unknown_goal` of the offer.",
            ),
            code("unknown_coupon", &[422], "There is no coupon with this code."),
            code(
                "unknown_customer",
                &[422],
                "The customer has no earlier conversion. Send `click_id`, `referral_code` or `coupon`.",
            ),
            code("unknown_offer", &[422], "There is no offer with this id."),
            code("unknown_referral_code", &[422], "No affiliate has this referral code."),
        ],
    },
    Group {
        title: "Postbacks and sources",
        codes: &[
            code("delivery_in_flight", &[409], "The delivery is being sent. Wait for its outcome."),
            code("delivery_not_retryable", &[409], "The delivery arrived, or a later one replaced it."),
            code(
                "invalid_config",
                &[422],
                "The configuration does not fit the schema of the adapter. `errors` names each value.",
            ),
            code("invalid_rule", &[422], "The conditions of the postback contradict each other."),
            code("secret_host_refused", &[422], "The secret was entered for another host. Enter it again."),
            code(
                "secret_unreadable",
                &[409, 422],
                "The server does not have the key that sealed the secret. Enter the secret again.",
            ),
            code("secret_unusable", &[422], "The secret cannot be used at its place in the request."),
            code("unknown_adapter", &[422], "There is no adapter with this id."),
            code(
                "verification_failed",
                &[422],
                "The destination did not accept the test request. `verification` has its response.",
            ),
        ],
    },
    Group {
        title: "Adapters",
        codes: &[
            code("adapter_busy", &[409, 503], "All threads for adapters are in use. Send the request again."),
            code("adapter_compile_too_costly", &[422], "The component takes too much time or memory to compile."),
            code("adapter_config_too_large", &[422], "The configuration is too large for the adapter."),
            code("adapter_config_too_many_values", &[422], "The configuration has too many values for the adapter."),
            code("adapter_contract_mismatch", &[422], "The component does not fulfil the contract of adapters."),
            code("adapter_cut_off", &[422], "The component is incomplete. Upload it again."),
            code("adapter_disabled", &[409], "The adapter is disabled."),
            code("adapter_engine_unavailable", &[503], "The server cannot run adapters now."),
            code("adapter_host_refused", &[422], "The adapter built a request to a host that it did not declare."),
            code("adapter_import_refused", &[422], "The component imports functions that adapters may not use."),
            code("adapter_internal", &[422], "The adapter reports an error of its own."),
            code("adapter_invalid_config", &[422], "The adapter refuses the configuration."),
            code(
                "adapter_invalid_descriptor",
                &[422],
                "The description that the component gives of itself is not valid.",
            ),
            code("adapter_invalid_event", &[422], "The adapter refuses the event."),
            code("adapter_invalid_output", &[422], "The adapter built a request that is not valid."),
            code("adapter_log_flood", &[422], "The adapter wrote too many log lines."),
            code("adapter_memory", &[422], "The adapter needs more memory than it may use."),
            code("adapter_missing", &[409], "The adapter is not installed on this server."),
            code("adapter_not_a_component", &[422], "The file is not a WebAssembly component."),
            code("adapter_out_of_fuel", &[422], "The adapter computes longer than it may."),
            code("adapter_out_of_service", &[409], "The adapter failed too often and is paused."),
            code("adapter_output_too_large", &[422], "The output of the adapter is too large."),
            code("adapter_timeout", &[422], "The adapter did not finish in time."),
            code("adapter_too_large", &[413], "The component is larger than a component may be."),
            code("adapter_trap", &[422], "The adapter crashed."),
            code(
                "adapter_unauthenticated",
                &[422],
                "The adapter does not accept the authentication of the notification.",
            ),
            code("adapter_unavailable", &[409], "The adapter cannot be used now."),
            code("adapter_unsupported", &[422], "The adapter does not support this kind of event or notification."),
            code(
                "adapter_version_taken",
                &[409],
                "This version is installed with other bytes. Give the component a new version.",
            ),
        ],
    },
    Group {
        title: "Withdrawals",
        codes: &[
            code(
                "affiliate_indebted",
                &[409],
                "The affiliate owes the program money. Refuse the withdrawal, or send `despite_debt`.",
            ),
            code("amount_too_precise", &[422], "The currency has fewer decimals than the amount."),
            code("balance_indebted", &[422], "The affiliate owes the program money."),
            code("batch_dissolved", &[409], "The withdrawal batch is dissolved."),
            code(
                "batch_exported",
                &[409],
                "The payment file of the batch was exported. Send `not_executed` if the bank did not execute it.",
            ),
            code("batch_indebted", &[409], "An affiliate of the batch owes the program money."),
            code("batch_settled", &[409], "All withdrawals of the batch have their result."),
            code("batch_under_way", &[409], "A withdrawal of the batch has a result already."),
            code("below_minimum", &[422], "The amount is below the minimum of the payout method or the program."),
            code("currency_not_paid", &[422], "The payout method does not pay this currency."),
            code("fee_exceeds_amount", &[422], "The fee is not smaller than the amount."),
            code("illegal_step", &[409], "The status of the withdrawal does not allow this step."),
            code("insufficient_balance", &[422], "The available balance is smaller than the amount."),
            code(
                "invalid_details",
                &[422],
                "The payout details do not fit the schema of the payout method. `errors` names each value.",
            ),
            code("no_exchange_rate", &[422], "There is no exchange rate for these currencies."),
            code("nothing_to_pay", &[409], "No approved withdrawal fits the batch."),
            code(
                "payer_missing",
                &[409],
                "The payment file needs the program's own account. Set `payer` in the settings of withdrawals.",
            ),
            code("payout_details_missing", &[422], "The affiliate has no payout details for the payout method."),
            code("payout_method_disabled", &[422], "The payout method is disabled."),
            code("unreadable_results", &[422], "The file of results cannot be read."),
            code("wrong_file_format", &[422], "The payout methods of the batch do not have this file format."),
        ],
    },
    Group {
        title: "The server",
        codes: &[
            code(
                "internal",
                &[500],
                "An internal error occurred. Send the request again, and tell the operator if the error persists.",
            ),
            code(
                "unavailable",
                &[503],
                "The database did not answer, and nothing was changed. Send the request again.",
            ),
        ],
    },
];
