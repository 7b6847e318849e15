-- What can be bought: one row per plan; the plans of one offering are its variants. Deleted plans stay for what was
-- sold of them.
CREATE TABLE plans (
  id                      text PRIMARY KEY,
  offering                text NOT NULL,
  variant                 text NOT NULL,
  variant_display_name    text NOT NULL,
  display_name            text NOT NULL,
  description             text NOT NULL,
  version                 text NOT NULL,
  cpu_request             text NOT NULL,
  cpu_limit               text NOT NULL,
  mem_request             text NOT NULL,
  mem_limit               text NOT NULL,
  docker_image            text NOT NULL,
  container_port          integer NOT NULL,
  environment             jsonb NOT NULL,
  category                text NOT NULL,
  tags                    jsonb NOT NULL,
  icon                    text NOT NULL,
  features                jsonb NOT NULL,
  sort_order              integer NOT NULL,
  is_default_variant      boolean NOT NULL,
  volume_size             text,
  volume_mount_path       text,
  volume_name             text,
  storage_class           text NOT NULL,
  access_mode             text NOT NULL,
  yearly_discount_percent integer NOT NULL,
  monthly_price           bigint NOT NULL,
  capacity                bigint NOT NULL,
  used                    bigint NOT NULL,
  is_active               boolean NOT NULL,
  deleted                 boolean NOT NULL,
  created_at              timestamptz NOT NULL,
  updated_at              timestamptz NOT NULL
);
CREATE INDEX plans_by_offering ON plans (offering, sort_order, id);
CREATE INDEX plans_newest ON plans (created_at DESC, id DESC);
CREATE INDEX plans_by_category ON plans (category) WHERE is_active;
