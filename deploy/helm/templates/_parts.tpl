{{/* Parts that several templates share. */}}

{{/* The labels that select: of the release, and with `component` of its pods of one kind. Takes the list: root, component. */}}
{{- define "lecturepulse.selector" -}}
app.kubernetes.io/name: lecturepulse
app.kubernetes.io/instance: {{ (first .).Release.Name | quote }}
{{- with last . }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end }}

{{- define "lecturepulse.labels" -}}
{{ include "lecturepulse.selector" . }}
app.kubernetes.io/managed-by: {{ (first .).Release.Service }}
app.kubernetes.io/version: {{ (first .).Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" (first .).Chart.Name (first .).Chart.Version }}
{{- end }}

{{/* YAML with the list `cells`: each one's name, url, the beginning of the names of its Secrets, and for KEDA address, port,
     database and tls of its Redis. Without cells there is a single one without a name. */}}
{{- define "lecturepulse.cells" -}}
{{- $one := dict "name" "" "url" .Values.redis.url "secrets" .Values.redis.secrets }}
{{- $names := list }}
cells:
{{- range .Values.cells | default (list $one) }}
{{- if has .name $names }}
{{- fail (printf "two cells have the name %s; choose another one" .name) }}
{{- end }}
{{- $names = append $names .name }}
{{- $url := urlParse (.url | default (printf "redis://redis.%s.svc:6379/0" $.Release.Namespace)) }}
{{- $port := regexFind ":[0-9]+$" $url.host | default ":6379" }}
{{- $made := ternary "lecturepulse" (list $.Release.Name .name | compact | join "-") (empty .url) }}
  - name: {{ .name | quote }}
    url: {{ .url | quote }}
    secrets: {{ .secrets | default $made | quote }}
    makeSecrets: {{ not (or (empty .url) .secrets) }}
    worker: {{ list $.Release.Name "worker" .name | compact | join "-" }}
    scaler: {{ list $.Release.Name "scaler" .name | compact | join "-" }}
    address: {{ print (trimSuffix $port $url.host) $port | quote }}
    port: {{ trimPrefix ":" $port }}
    database: {{ regexFind "\\bdb=[0-9]+" $url.query | trimPrefix "db=" | default (trimPrefix "/" $url.path) | default "0" | quote }}
    tls: {{ eq $url.scheme "rediss" | quote }}
{{- end }}
{{- if and .Values.cells .Values.redis.url }}
{{- fail "redis.url and cells are both given; make redis.url one of the cells" }}
{{- end }}
{{- end }}

{{/* The labels of a cell's workers. Takes the list: root, cell. */}}
{{- define "lecturepulse.workers" -}}
{{ include "lecturepulse.selector" (list (first .) "worker") }}
{{- with (last .).name }}
lecturepulse/cell: {{ . }}
{{- end }}
{{- end }}

{{/* The place of the archive; empty if there is none. */}}
{{- define "lecturepulse.archive" -}}
{{- with .Values.archive }}
{{- if and .store .claim }}
{{- fail "archive.store and archive.claim are both given; choose one" }}
{{- end }}
{{- ternary "/archive" .store (not (empty .claim)) }}
{{- end }}
{{- end }}

{{/* The volume of the archive and its mount, each as a list; empty without a claim. */}}
{{- define "lecturepulse.archiveVolume" -}}
{{- with .Values.archive.claim }}
- name: archive
  persistentVolumeClaim: {claimName: {{ . | quote }}}
{{- end }}
{{- end }}

{{- define "lecturepulse.archiveMount" -}}
{{- if .Values.archive.claim }}
- {name: archive, mountPath: /archive}
{{- end }}
{{- end }}

{{/* The Secrets with environment variables of a producer or of the page, as a list. */}}
{{- define "lecturepulse.secrets" -}}
{{- if not .Values.cells }}
- secretRef: {name: {{ (first (include "lecturepulse.cells" . | fromYaml).cells).secrets }}-producer}  # REDIS_URL
{{- end }}
{{- with .Values.archive.secret }}
- secretRef: {name: {{ . | quote }}}  # the keys of the archive
{{- end }}
{{- with .Values.producer.webhook }}
- secretRef: {name: {{ . | quote }}}  # LECTUREPULSE_WEBHOOK and its secret
{{- end }}
{{- end }}

{{/* The environment variables of a producer or of the page that name cells and archive, as a list. */}}
{{- define "lecturepulse.environment" -}}
{{- if .Values.cells }}
{{- $list := list }}
{{- range $n, $cell := (include "lecturepulse.cells" . | fromYaml).cells }}
{{- $list = append $list (printf "%s=$(CELL_%d)" .name $n) }}
- name: CELL_{{ $n }}
  valueFrom: {secretKeyRef: {name: {{ .secrets }}-producer, key: REDIS_URL}}
{{- end }}
- {name: LECTUREPULSE_CELLS, value: {{ join " " $list | quote }}}
{{- end }}
{{- with include "lecturepulse.archive" . }}
- {name: LECTUREPULSE_ARCHIVE, value: {{ . | quote }}}
{{- end }}
{{- end }}

{{/* The certificate authority of Redis: the file's mount, and its volume. */}}
{{- define "lecturepulse.caMount" -}}
{{- if .Values.redis.ca }}
- {name: redis-ca, mountPath: /etc/lecturepulse, readOnly: true}
{{- end }}
{{- end }}

{{- define "lecturepulse.caVolume" -}}
{{- with .Values.redis.ca }}
- name: redis-ca
  secret: {secretName: {{ . | quote }}, items: [{key: ca.crt, path: redis-ca.crt}]}
{{- end }}
{{- end }}

{{/* What makes a pod unprivileged, and where it runs. Takes the list: root, user id. */}}
{{- define "lecturepulse.pod" -}}
automountServiceAccountToken: false
securityContext:
  runAsNonRoot: true
  runAsUser: {{ last . }}
  runAsGroup: {{ last . }}
  fsGroup: {{ last . }}
  seccompProfile: {type: RuntimeDefault}
{{- with (first .).Values.imagePullSecrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ . | quote }}
{{- end }}
{{- end }}
{{- with (first .).Values.nodeSelector }}
nodeSelector: {{ toJson . }}
{{- end }}
{{- with (first .).Values.tolerations }}
tolerations: {{ toJson . }}
{{- end }}
{{- end }}

{{- define "lecturepulse.unprivileged" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{/* Annotations by which a Prometheus without the operator finds a pod. Takes the list: root, port. */}}
{{- define "lecturepulse.scraped" -}}
{{- if not (first .).Values.monitoring.enabled -}}
prometheus.io/scrape: "true"
prometheus.io/port: {{ last . | quote }}
{{- end }}
{{- end }}
